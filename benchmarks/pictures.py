"""Pictures as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from satchel.images import RGB


def rgb(pixels: Any) -> RGB:
    """Return what OpenCV made of 8-bit pixels, shape (h, w, 3), with the type that it has."""
    return np.asarray(pixels, np.uint8)
