"""Pictures of OpenCV's, whose type stubs leave open what numbers they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from satchel.images import RGB


def rgb(pixels: npt.NDArray[Any]) -> RGB:
    """An array of bytes as the type that our functions take."""
    assert pixels.dtype == np.uint8
    return pixels
