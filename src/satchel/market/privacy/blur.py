"""Blur faces and number plates of a photo before everybody may see it.

Faces are found by CenterFace, which ships with Satchel; number plates by the Haar cascades that
ship with OpenCV. Detection errs towards blurring: a seller can cover nothing by it but people.
"""

from __future__ import annotations

from pathlib import Path
from threading import local
from typing import Final

import cv2
import numpy as np

from satchel.arrays import Floats
from satchel.curate.faces import FaceFinder
from satchel.images import RGB

PADDING: Final = 0.15
"""Of a face's or plate's width and height, added on each side."""

BLOCKS: Final = 6
"""Blocks along the shorter side of what is blurred: too few to recognise anybody, or to read."""

CASCADES: Final = Path(cv2.__file__).parent / "data"
PLATES: Final = (
    "haarcascade_russian_plate_number.xml",
    "haarcascade_license_plate_rus_16stages.xml",
)
PLATE_SIDE_PX: Final = 960


class Blurrer:
    """Finds and blurs; several threads may call it at once.

    Raises:
        EncoderError: the face detector is missing or altered.
    """

    def __init__(self) -> None:
        self._faces = FaceFinder.load()

    def __call__(self, pixels: RGB) -> RGB:
        """Return a copy with faces and number plates blurred.

        Args:
            pixels: shape (h, w, 3), uint8, RGB.
        """
        out = pixels.copy()
        for box in (*self._faces.find(pixels), *self.plates(pixels)):
            _blur(out, box)
        return out

    def plates(self, pixels: RGB) -> list[Floats]:
        """Find number plates; boxes as `FaceFinder.find` gives them."""
        scale = min(1.0, PLATE_SIDE_PX / max(pixels.shape[:2]))
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = small.shape
        found = [
            rectangle
            for cascade in _cascades()
            for rectangle in cascade.detectMultiScale(small, 1.1, 5, minSize=(40, 12))
        ]
        return [
            np.array([x / width, y / height, (x + w) / width, (y + h) / height], np.float32)
            for x, y, w, h in found
        ]


_own = local()


def _cascades() -> list[cv2.CascadeClassifier]:
    """Return the classifiers of this thread: they keep working memory, so none can be shared."""
    if not hasattr(_own, "cascades"):
        _own.cascades = [cv2.CascadeClassifier(str(CASCADES / name)) for name in PLATES]
    found: list[cv2.CascadeClassifier] = _own.cascades
    return found


def _blur(pixels: RGB, box: Floats) -> None:
    """Replace a box by few blocks, in place."""
    height, width = pixels.shape[:2]
    across, down = PADDING * (box[2] - box[0]), PADDING * (box[3] - box[1])
    left, right = (round(float(x) * width) for x in (box[0] - across, box[2] + across))
    top, bottom = (round(float(y) * height) for y in (box[1] - down, box[3] + down))
    part = pixels[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if part.size == 0:
        return
    rows, columns = part.shape[:2]
    size = max(1, min(rows, columns) // BLOCKS)
    few = cv2.resize(
        part, (max(1, columns // size), max(1, rows // size)), interpolation=cv2.INTER_AREA
    )
    part[:] = cv2.resize(few, (columns, rows), interpolation=cv2.INTER_NEAREST)
