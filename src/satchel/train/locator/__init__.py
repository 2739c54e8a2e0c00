"""Object detectors in torch: networks, training data, losses, figures and export."""
