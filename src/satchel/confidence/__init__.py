"""Scores of a ranking → calibrated probabilities and a verdict."""
