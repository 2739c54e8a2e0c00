"""Random crops of real photos, of the object or the whole photo; mirrored, in another light."""

from __future__ import annotations

from typing import Final

import numpy as np

from satchel.encode.crops import CropShape
from satchel.images import RGB
from satchel.records import WHOLE_PHOTO, Box

P_WHOLE: Final = 0.3
MARGIN: Final = (-0.08, 0.25)
"""By which each side of a crop lies outside of what it shows, as a share of that."""

LIGHT: Final = (0.75, 1.25)
TINT: Final = (0.9, 1.1)

Rng = np.random.Generator


def random_view(photo: RGB, box: Box, shape: CropShape, rng: Rng) -> RGB:
    """A crop of the object in `box`, or of the whole photo, as an encoder takes it, uint8."""
    shown = WHOLE_PHOTO if rng.random() < P_WHOLE else box
    x0, y0, x1, y1 = shown.xyxy
    left, top, right, bottom = rng.uniform(*MARGIN, 4)
    width, height = x1 - x0, y1 - y0
    crop = shape.cut(
        photo,
        Box(
            max(0.0, x0 - left * width),
            max(0.0, y0 - top * height),
            min(1.0, x1 + right * width),
            min(1.0, y1 + bottom * height),
        ),
    )
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    lit = crop.astype(np.float32) * rng.uniform(*LIGHT) * rng.uniform(*TINT, 3)
    contrasted = (lit - lit.mean()) * rng.uniform(*LIGHT) + lit.mean()
    return np.ascontiguousarray(contrasted.clip(0, 255).astype(np.uint8))
