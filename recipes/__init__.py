"""Recipes that build the model files that ship. Not part of the wheel."""
