"""Even backgrounds: studio photos, in which the border shows one colour."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from satchel.arrays import Floats
from satchel.images import RGB, shrunk

WORK_SIDE_PX: Final = 320
"""Longer side of the copy that is inspected."""

RIM_PX: Final = 4
BACKGROUND_DISTANCE: Final = 6.0
"""Distance in CIE Lab, of 8-bit values, up to which a pixel has the background's colour."""

EVEN_SHARE: Final = 0.6
"""Share of the border that has the background's colour on an even background: the product, or who
wears it, may be cut off by the photo's side."""


def even_background(pixels: RGB) -> bool:
    """Whether the photo's border shows one colour, as a studio photo's does.

    Args:
        pixels: shape (h, w, 3), uint8.
    """
    return background_colour(lab_of(shrunk(pixels, WORK_SIDE_PX))) is not None


def lab_of(pixels: RGB) -> Floats:
    """Pixels in CIE Lab, float32, scaled as OpenCV scales 8-bit values."""
    lab: Floats = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    return lab


def background_colour(lab: Floats) -> Floats | None:
    """The colour of an even background, shape (3,); None where it is not even.

    Args:
        lab: shape (h, w, 3), float32, CIE Lab.
    """
    rim = np.concatenate([part.reshape(-1, 3) for part in rim_of(lab)])
    colour = _commonest(rim)
    even = np.linalg.norm(rim - colour, axis=1) <= BACKGROUND_DISTANCE
    return colour if even.mean() >= EVEN_SHARE else None


def rim_of(lab: Floats) -> tuple[Floats, ...]:
    """The border: top, bottom, left and right."""
    return lab[:RIM_PX], lab[-RIM_PX:], lab[:, :RIM_PX], lab[:, -RIM_PX:]


def _commonest(rim: Floats) -> Floats:
    """The commonest border colour, by its lightness: a cut-off person can cover half the border."""
    light = rim[:, 0].astype(np.int64)
    counts = np.convolve(np.bincount(light, minlength=256), np.ones(7), "same")
    near = np.abs(light - counts.argmax()) <= 4
    colour: Floats = np.median(rim[near], axis=0).astype(np.float32)
    return colour
