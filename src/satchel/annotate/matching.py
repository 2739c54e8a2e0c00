"""Which photo of the catalogue an annotated photo is, and whether its boxes fit it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

from satchel.annotate.checks import BadAnnotation
from satchel.annotate.photo_finder import PhotoFinder
from satchel.annotate.records import AnnotatedPhoto
from satchel.catalog.photos import sha256
from satchel.catalog.products import StoredPhoto
from satchel.catalog.store import Catalogue
from satchel.errors import PhotoError
from satchel.images import read_photo
from satchel.photo_header import PhotoLimits

MAX_STRETCH: Final = 0.02
"""Difference of two photos' proportions that comes of rounding when one is resized."""

_STORED_NAME: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}$")


def stored_name(photo: str) -> str:
    """Return the name under which a photo of the catalogue, by SHA-256, is given to tools."""
    return f"{photo}.jpg"


class PhotoMatcher:
    """Finds the photos of annotation files in the catalogue.

    A photo that Satchel gave away is known by its name, its SHA-256. Any other is looked for in a
    folder, and known by its bytes if they were imported.
    """

    def __init__(self, catalogue: Catalogue, folder: Path, limits: PhotoLimits) -> None:
        self._catalogue, self._folder, self._limits = catalogue, folder, limits
        self._finder = PhotoFinder(folder)

    def match(self, photo: AnnotatedPhoto) -> StoredPhoto:
        """Return the stored photo.

        Raises:
            BadAnnotation: it is not in the catalogue, or its boxes are of other proportions.
        """
        named = _STORED_NAME.search(PurePosixPath(photo.path).stem)
        stored = self._by_name(named[0]) if named else self._by_bytes(photo.path)
        check_proportions(photo, stored)
        return stored

    def _by_name(self, name: str) -> StoredPhoto:
        stored = self._catalogue.stored_photo(name)
        if stored is None:
            raise BadAnnotation("it is a photo of another catalogue, or was deleted from this one")
        return stored

    def _by_bytes(self, written: str) -> StoredPhoto:
        path = self._finder.find(written)
        if path is None:
            raise BadAnnotation(f"no such photo in {self._folder}; name its folder with --photos")
        try:
            name = sha256(read_photo(path, self._limits))
        except PhotoError as error:
            raise BadAnnotation(str(error)) from None
        known = self._catalogue.photo_from(name)
        stored = self._catalogue.stored_photo(known[1] if known else name)
        if stored is None:
            raise BadAnnotation("it is not in the catalogue; put it there first: satchel import")
        return stored


def check_proportions(photo: AnnotatedPhoto, stored: StoredPhoto) -> None:
    """Check that boxes were drawn on the upright photo; its size in pixels may be another.

    Raises:
        BadAnnotation: width and height are exchanged, or in another proportion.
    """
    if photo.width is None or photo.height is None:
        return
    if _alike(photo.width, photo.height, stored):
        return
    if _alike(photo.height, photo.width, stored):
        raise BadAnnotation(
            f"its boxes are on {photo.width} × {photo.height} pixels, the upright photo has "
            f"{stored.width} × {stored.height}: they were drawn without turning it by its EXIF "
            "orientation; draw them on the upright photo"
        )
    raise BadAnnotation(
        f"expected boxes on {stored.width} × {stored.height} pixels or the same proportions, got "
        f"{photo.width} × {photo.height}: they are of another photo"
    )


def _alike(width: int, height: int, stored: StoredPhoto) -> bool:
    """Whether proportions are equal, but for the rounding of a small copy's sides."""
    ratio = (width / height) / (stored.width / stored.height)
    return abs(ratio - 1) <= MAX_STRETCH + 1 / min(width, height)
