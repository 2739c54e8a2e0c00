"""Image encoders of others: checkpoint → ONNX encoder with our input and outputs; without torch."""
