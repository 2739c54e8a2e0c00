"""Annotation tools that run as servers: push photos to them, pull boxes back."""
