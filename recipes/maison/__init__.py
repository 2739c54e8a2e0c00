"""The demo's pictures: a small renderer."""
