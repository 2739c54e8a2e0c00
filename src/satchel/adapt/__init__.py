"""Fit the served encoder to one catalogue. Needs torch."""
