"""Photos that files of an encoder are compared on: of the workspace, or of a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from satchel.arrays import Bytes
from satchel.errors import PhotoError, UsageError
from satchel.folders import is_photo, walk_files
from satchel.images import RGB, crop, decode, read_photo
from satchel.parallel import cores, map_in_order
from satchel.records import WHOLE_PHOTO, Box
from satchel.served import served_space
from satchel.workspace import Workspace

MEASURED_PHOTOS: Final = 48
"""Photos that files are compared on, each whole and cropped to its object."""

FEWEST_PHOTOS: Final = 6
"""Fewer have no five nearest others."""


@dataclass(frozen=True, slots=True)
class MeasuredPhoto:
    """A photo to measure on, decoded when it is needed."""

    read: Callable[[], RGB]
    box: Box = WHOLE_PHOTO


def sample_photos(workspace: Workspace, folder: Path | None) -> list[MeasuredPhoto]:
    """Photos to measure on: of the workspace, or of a folder."""
    found = _of_workspace(workspace) if folder is None else _of_folder(workspace, folder)
    if len(found) < FEWEST_PHOTOS:
        where = f"in {folder}" if folder else "in the catalogue"
        raise UsageError(
            f"expected {FEWEST_PHOTOS} photos or more {where} to measure on, got {len(found)}: "
            "import a catalogue first, or name a folder of photos with --photos (such as "
            "examples/maison of Satchel's source)"
        )
    rows = np.unique(np.linspace(0, len(found) - 1, MEASURED_PHOTOS).astype(int))
    return [found[row] for row in rows.tolist()]


def _of_workspace(workspace: Workspace) -> list[MeasuredPhoto]:
    kept = workspace.catalogue.kept_photos(served_space(workspace).id)
    return [
        MeasuredPhoto(lambda name=one.sha256: decode(workspace.photos.read(name)), one.box)  # type: ignore[misc]
        for one in kept
    ]


def _of_folder(workspace: Workspace, folder: Path) -> list[MeasuredPhoto]:
    if not folder.is_dir():
        raise UsageError(f"expected a folder of photos for --photos, got {folder}")
    limits = workspace.settings.photos.limits()
    return [
        MeasuredPhoto(lambda path=path: decode(read_photo(path, limits), limits=limits))  # type: ignore[misc]
        for path in walk_files(folder)
        if is_photo(path)
    ]


def crops_of(photos: Sequence[MeasuredPhoto], side_px: int) -> Bytes:
    """Each photo whole and, where that is not all of it, its object; (n, side, side, 3).

    Raises:
        UsageError: too few can be decoded.
    """

    def work(photo: MeasuredPhoto) -> list[RGB]:
        boxes = [WHOLE_PHOTO] if photo.box == WHOLE_PHOTO else [WHOLE_PHOTO, photo.box]
        try:
            pixels = photo.read()
        except PhotoError:
            return []  # others do as well
        return [crop(pixels, box, side_px) for box in boxes]

    found = [one for each in map_in_order(work, photos, workers=cores()) for one in each]
    if len(found) < FEWEST_PHOTOS:
        raise UsageError(
            f"expected {FEWEST_PHOTOS} photos to measure on, {len(found)} are readable"
        )
    return np.stack(found)
