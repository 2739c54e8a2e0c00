"""Addresses of what the server shows, written once for API and pages."""

from __future__ import annotations

from urllib.parse import quote, urlencode


def photo_link(sha256: str) -> str:
    """URL of a catalogue photo in full size."""
    return f"/photos/{sha256}.jpg"


def thumbnail_link(sha256: str, side_px: int | None = None) -> str:
    """URL of a thumbnail of a catalogue photo."""
    return f"/thumbnails/{sha256}.jpg" + (f"?side={side_px}" if side_px else "")


def product_link(code: str) -> str:
    """URL of the page of a product; codes contain slashes and spaces."""
    return f"/products/{quote(code, safe='')}"


def case_link(token: str) -> str:
    """URL of the page of a case."""
    return f"/cases/{token}"


def answer_link(token: str) -> str:
    """URL of an answer, for as long as it is kept."""
    return f"/answers/{token}"


def edit_link(code: str) -> str:
    """URL of the page on which a product is edited."""
    return f"/catalogue/edit?{urlencode({'code': code})}"
