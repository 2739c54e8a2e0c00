"""Uploaded photos; their names are labels for people and never paths."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Final

from fastapi import UploadFile

MAX_NAME_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class ReceivedPhoto:
    """A photo that was sent; `name` is a label for people and never a path."""

    name: str
    size_bytes: int
    file: BinaryIO

    def read(self) -> bytes:
        """Return its bytes."""
        self.file.seek(0)
        return self.file.read()


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """A photo that was sent and is kept for a while."""

    name: str
    data: bytes

    def received(self) -> ReceivedPhoto:
        """As it was received."""
        return ReceivedPhoto(self.name, len(self.data), BytesIO(self.data))


def received(uploads: Sequence[UploadFile]) -> list[ReceivedPhoto]:
    """Convert uploaded files; an empty field, which forms send if no file is chosen, is skipped."""
    return [
        ReceivedPhoto(label(upload.filename, position), upload.size or 0, upload.file)
        for position, upload in enumerate(uploads, start=1)
        if upload.filename or upload.size
    ]


def label(name: str | None, position: int) -> str:
    """Make a name that may be shown: without folders, printable, composed, short.

    Characters that do not print are replaced: among them are those that turn the direction of
    writing and so make one name look like another.
    """
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    composed = unicodedata.normalize("NFC", last or f"photo {position}")
    shown = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in composed
    )
    return shown if len(shown) <= MAX_NAME_CHARS else shown[: MAX_NAME_CHARS - 1] + "…"
