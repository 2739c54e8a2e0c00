"""`satchel read`: codes on photographed tags, boxes, receipts and date stamps."""

from __future__ import annotations

from typing import Self

from satchel.decoding.decoder import Decoder
from satchel.photo_header import PhotoLimits
from satchel.reading.matching import CodeMatcher
from satchel.reading.reader import MAX_SIDE_PX, PhotoReader
from satchel.reading.records import Reading
from satchel.workspace import Workspace


class CodeReader:
    """Reads the codes of one catalogue in photos. Thread-safe; reads one photo at a time."""

    def __init__(self, workspace: Workspace, decoder: Decoder) -> None:
        """Set up a reader; its process starts with the first photo.

        Raises:
            MissingExtra: the extra `ocr` is not installed.
        """
        self._reader = PhotoReader()
        self._workspace = workspace
        self._decoder = decoder
        self._revision: int | None = None
        self._matcher = CodeMatcher(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, data: bytes, limits: PhotoLimits) -> Reading:
        """Read a photo, and compare what is written there with the catalogue's codes as of now.

        Raises:
            PhotoError: the photo cannot be used.
            ReadingError: its text cannot be read, or not in time.
        """
        # No smaller than what is read: scaling by eighths and fractions comes close to that.
        pixels = self._decoder.decode(data, min_side_px=MAX_SIDE_PX // 2, limits=limits)
        texts = self._reader.read(pixels)
        return Reading(texts, self._current().match(texts))

    def _current(self) -> CodeMatcher:
        revision = self._workspace.catalogue.revision()
        if revision != self._revision:
            self._matcher = CodeMatcher(self._workspace.catalogue.ids_of_codes())
            self._revision = revision
        return self._matcher
