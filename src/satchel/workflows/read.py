"""Codes on photographed tags, boxes, receipts and date stamps: of any photo, and of listings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, Self

from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.errors import CatalogueError, PhotoError, ReadingError
from satchel.jobs.records import Stopped
from satchel.market.listings.readings import PhotoReadings
from satchel.photo_header import PhotoLimits
from satchel.reading.matching import CodeMatcher
from satchel.reading.reader import MAX_SIDE_PX, PhotoReader
from satchel.reading.records import ReadCode, Reading, ReadText
from satchel.workspace import Workspace

MIN_SIDE_PX: Final = MAX_SIDE_PX // 2
"""No smaller than what is read: scaling by eighths and fractions comes close to that."""


class CatalogueCodes:
    """Finds the codes of a catalogue, as it is now, in texts. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._catalogue = workspace.catalogue
        self._lock = Lock()
        self._known: tuple[object, CodeMatcher] | None = None

    def match(self, texts: Sequence[ReadText]) -> tuple[ReadCode, ...]:
        """Return the codes that texts of one photo may name, the best match first."""
        return self._current().match(texts)

    def _current(self) -> CodeMatcher:
        with self._lock:
            stamp = self._catalogue.columns_stamp()  # before reading, so that no change is missed
            if self._known is None or self._known[0] != stamp:
                self._known = stamp, CodeMatcher(self._catalogue.ids_of_codes())
            return self._known[1]


class CodeReader:
    """Reads the codes of one catalogue in photos. Thread-safe; reads one photo at a time."""

    def __init__(self, workspace: Workspace, decoder: Decoder) -> None:
        """Set up a reader; its process starts with the first photo.

        Raises:
            MissingExtra: the extra `ocr` is not installed.
        """
        self._reader = PhotoReader()
        self._codes = CatalogueCodes(workspace)
        self._decoder = decoder

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
        pixels = self._decoder.decode(data, min_side_px=MIN_SIDE_PX, limits=limits)
        texts = self._reader.read(pixels)
        return Reading(texts, self._codes.match(texts))


class ListingReader:
    """Reads the photos of listings, one after another, in one process for all. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        """Set up a reader; its process starts with the first photo."""
        self._workspace = workspace
        self._lock = Lock()
        self._made: PhotoReader | None = None

    @property
    def _reader(self) -> PhotoReader:
        with self._lock:
            if self._made is None:
                self._made = PhotoReader()
            return self._made

    def read(self, public_id: str, *, stopping: Callable[[], bool]) -> int:
        """Read the photos of a listing that were not read yet; return how many.

        Each is kept as soon as it is read; whoever goes on after a kill reads the rest.

        Args:
            stopping: asked before each photo.

        Raises:
            MissingExtra: the extra `ocr` is not installed.
            Stopped: it is to stop, and photos are left.
        """
        readings = PhotoReadings(self._workspace.catalogue.engine)
        unread = readings.unread(public_id)
        limits = self._workspace.settings.photos.limits()
        for photo_id, sha256 in unread:
            if stopping():
                raise Stopped
            try:
                data = self._workspace.market_photos.read(sha256)
                # It is our own JPEG: no worker decodes it.
                pixels = IN_PROCESS.decode(data, min_side_px=MIN_SIDE_PX, limits=limits)
                texts = self._reader.read(pixels)
            except (PhotoError, ReadingError, CatalogueError) as error:
                readings.save(photo_id, (), str(error))
            else:
                readings.save(photo_id, texts)
        return len(unread)
