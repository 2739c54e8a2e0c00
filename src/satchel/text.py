"""Text from outside, made safe to show: on terminals, in messages, in spreadsheets."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

NO_WORD: Final = re.compile(r"[\W_]+")
"""What is neither letter nor digit; accents, once they are apart from their letters."""


def printable(text: str) -> str:
    r"""Escape what cannot be printed: control characters, and bytes of names that are no text.

    A file's name may hold an escape sequence that rewrites the terminal, or half a character.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def folded(text: str) -> str:
    """Return text for comparing: without differences of case, width and spacing, Hangul composed.

    NFKC and full case folding (Unicode, section 3.13, D146), white space collapsed to one space.
    """
    once = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", once).split())


def squeezed(text: str) -> str:
    """Return the letters and digits of text alone, without differences of case, width and accents.

    For comparing what people type with what is written: "M-22675" and "m 22675" are one. Empty
    where there are none.
    """
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    alone = NO_WORD.sub("", plain.casefold())
    return alone if text.isascii() else unicodedata.normalize("NFC", alone)


def spreadsheet_cell(text: str) -> str:
    """Escape text that Excel would run as a formula: "=1+1" gets an apostrophe, "'=1+1"."""
    return printable(f"'{text}" if text.startswith(FORMULA_STARTS) else text)
