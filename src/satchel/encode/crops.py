"""Crop shapes: square, or of about the photo's aspect ratio.

A phone's portrait photo, squeezed into a square, is a third too wide; the studio photo
of the same product is not. Measured in docs/decisions/0018-proportions.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Final

from satchel.images import RGB, crop
from satchel.records import Box

LEAST_PATCHES: Final = 6
"""Largest aspect ratio of a crop; longer photos are squeezed a little."""

PIXELS_COUNT: Final = 0.5
"""Weight of log pixel loss relative to log change of aspect ratio."""


@dataclass(frozen=True, slots=True)
class CropShape:
    """The input shape of an encoder.

    Attributes:
        side_px: of a square one.
        patch_px: sides need only be whole multiples of this, with `side_px`² pixels at most; None
            where all crops are square.
    """

    side_px: int
    patch_px: int | None = None

    def fitting(self, height: float, width: float) -> tuple[int, int]:
        """Height and width in pixels of the crop for a box of this height and width, both > 0."""
        if self.patch_px is None:
            return self.side_px, self.side_px
        patches = self.side_px // self.patch_px
        rows, columns = _fitting(patches * patches, height / width)
        return rows * self.patch_px, columns * self.patch_px

    def cut(self, photo: RGB, box: Box) -> RGB:
        """Crop a box of a photo, shape (h, w, 3), to the size that `fitting` returns."""
        height, width = photo.shape[:2]
        shape = self.fitting(max(1.0, height * box.height), max(1.0, width * box.width))
        return crop(photo, box, shape)


@lru_cache(maxsize=4096)
def _fitting(most: int, proportion: float) -> tuple[int, int]:
    """Rows and columns, `most` patches together, nearest to height / width = `proportion`."""

    def loss(grid: tuple[int, int]) -> float:
        rows, columns = grid
        return abs(log(rows / columns / proportion)) + PIXELS_COUNT * log(most / (rows * columns))

    return min(_grids(most), key=loss)


def _grids(most: int) -> Iterator[tuple[int, int]]:
    sides = range(LEAST_PATCHES, most // LEAST_PATCHES + 1)
    return ((rows, columns) for rows in sides for columns in sides if rows * columns <= most)
