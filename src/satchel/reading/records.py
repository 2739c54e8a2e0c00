"""What was read in a photo, and the codes that it may be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from satchel.records import Box


class Match(StrEnum):
    """How well a code fits what was read."""

    EXACT = "exact"
    """The same letters and digits; separators and case do not count."""
    SIMILAR = "similar"
    """Some characters are of those that are taken for each other: 0/O, 1/I/L, 5/S, 8/B."""
    ONE_LETTER = "one_letter"
    """One character is another one."""


@dataclass(frozen=True, slots=True)
class ReadText:
    """A line of text, or the content of a barcode.

    Attributes:
        box: around it, as fractions of the upright photo.
        score: confidence of reading in [0, 1]; 1 for barcodes, which check themselves.
        barcode: kind of the barcode, such as "EAN-13"; None for text.
    """

    text: str
    box: Box
    score: float
    barcode: str | None = None


@dataclass(frozen=True, slots=True)
class ReadCode:
    """A code of the catalogue that may be what was read.

    Attributes:
        read: as it is written in the photo.
        cost: 0 for an exact match; a quarter for each pair of characters that are taken for each
            other, 1 for another character.
        source: the text that it is in.
    """

    code: str
    read: str
    match: Match
    cost: float
    source: ReadText


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was read in a photo, and the codes it may be, the best first."""

    texts: tuple[ReadText, ...]
    codes: tuple[ReadCode, ...]
