"""Synthetic sellers' photos made of a catalogue's own pictures."""
