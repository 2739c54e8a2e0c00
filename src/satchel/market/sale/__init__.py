"""Goods on sale: what everybody sees, and reservations."""
