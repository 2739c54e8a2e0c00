"""Photo → vectors, by an ONNX model."""
