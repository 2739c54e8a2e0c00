"""Synthetic sellers' photos, composed from a catalogue's own photos."""
