"""Crawled photos → a clean gallery, with reasons."""
