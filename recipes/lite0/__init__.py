"""The light encoder: EfficientNet-Lite0, adapted."""
