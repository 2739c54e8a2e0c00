"""Addresses of what the server shows, written once for API and pages."""

from __future__ import annotations

from urllib.parse import quote


def photo_link(sha256: str) -> str:
    """Where a catalogue photo is, whole."""
    return f"/photos/{sha256}.jpg"


def thumbnail_link(sha256: str, side_px: int | None = None) -> str:
    """Where a small copy of a catalogue photo is."""
    return f"/thumbnails/{sha256}.jpg" + (f"?side={side_px}" if side_px else "")


def product_link(code: str) -> str:
    """Where the page of a product is; codes hold slashes and spaces."""
    return f"/products/{quote(code, safe='')}"
