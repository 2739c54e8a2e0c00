"""The crops that a model is served with, and how many local features they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from satchel.encode.crops import LEAST_PATCHES, CropShape

KEPT: Final = 64
"""Local features of a photo, those with the most attention; the others are mostly background."""


@dataclass(frozen=True, slots=True)
class Served:
    """The crops that a model is served with.

    Attributes:
        side_px: of a square one; a whole multiple of the patch.
        patch_px: of the model.
    """

    side_px: int
    patch_px: int

    @property
    def along(self) -> int:
        """Patches along a side of a square crop."""
        return self.side_px // self.patch_px

    @property
    def any_shape(self) -> bool:
        """Whether crops keep a photo's proportions: there are patches enough for it."""
        return self.along >= LEAST_PATCHES

    @property
    def most(self) -> int:
        """Most patches along a side of any crop."""
        return max(self.along, self.along**2 // LEAST_PATCHES)

    @property
    def kept(self) -> int:
        """Local features of a photo: `KEPT`, or as many patches as the smallest crop has."""
        if not self.any_shape:
            return min(KEPT, self.along**2)
        shape, sides = CropShape(self.side_px, self.patch_px), range(LEAST_PATCHES, KEPT)
        grids = ((rows, columns) for rows in sides for columns in sides if rows * columns < KEPT)
        # A grid that is not the best for its own proportions is the best for no others.
        patches = self.patch_px
        cut = [r * c for r, c in grids if shape.fitting(r, c) == (r * patches, c * patches)]
        return min([KEPT, *cut])
