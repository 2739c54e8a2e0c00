"""Backups: files by their SHA-256, and snapshots that name them."""
