"""Measurements of speed and accuracy; each is run as `python -m benchmarks.NAME`."""
