"""File names as text, also those that a zip file from another system left in a wrong encoding.

A zip made by a Korean Windows holds names in CP949, and does not say so. A program that unpacks it
elsewhere writes those bytes as they are, which is no UTF-8, or reads them in the code page of its
own system: "가방" becomes "░í╣µ". A zip made by macOS, with names in UTF-8, meets the same.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

CODE_PAGES: Final = ("cp437", "cp850", "cp1252", "latin-1")
"""Encodings that programs read the names in a zip file with."""

WRITTEN: Final = ("utf-8", "cp949")
"""Encodings that those names are really in."""

_HANGUL: Final = re.compile("[가-힣]")
_BOXES: Final = re.compile("[─-▟]")  # box drawing: half of Hangul's bytes, read in CP437


def composed(name: str) -> str:
    """Return a name composed (NFC): macOS writes Hangul in pieces, other systems do not."""
    return unicodedata.normalize("NFC", name)


def readings(name: str) -> Iterator[str]:
    """Yield a file's name as text, first as it is, then as it may have been meant; composed."""
    yield composed(name)
    if not name.isascii():
        for data in _bytes_of(name):
            for encoding in WRITTEN:
                text = _decoded(data, encoding)
                if text and text.isprintable() and _HANGUL.search(composed(text)):
                    yield composed(text)


def as_text(name: str) -> str:
    """Return what a file's name most probably says.

    A name is changed only if it is no text, or holds signs of box drawing, which no person types.
    """
    own, *others = readings(name)
    return others[0] if others and (not own.isprintable() or _BOXES.search(own)) else own


def _bytes_of(name: str) -> Iterator[bytes]:
    """Yield the bytes that a name may have had in a zip file."""
    try:
        name.encode()
    except UnicodeEncodeError:  # the bytes as they are
        yield os.fsencode(name)
        return
    for page in CODE_PAGES:
        try:
            yield name.encode(page)
        except UnicodeEncodeError:
            continue


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None
