"""Vectors → ranked products."""
