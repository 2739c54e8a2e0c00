"""Text from outside, made safe to show: on terminals, in messages, in spreadsheets."""

from __future__ import annotations

from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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


def spreadsheet_cell(text: str) -> str:
    """Escape text that Excel would run as a formula: "=1+1" gets an apostrophe, "'=1+1"."""
    return printable(f"'{text}" if text.startswith(FORMULA_STARTS) else text)
