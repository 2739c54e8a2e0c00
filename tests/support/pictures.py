"""Pictures for tests: plain ones, with boxes and stamps, and the demo's; and OpenCV's, typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from satchel.images import RGB, decode, encode_jpeg

MAISON = Path(__file__).resolve().parents[2] / "examples" / "maison" / "photos"


def rgb(pixels: npt.NDArray[Any]) -> RGB:
    """An array of bytes as the type that our functions take."""
    assert pixels.dtype == np.uint8
    return pixels


def blank(size_wh: tuple[int, int] = (640, 480), shade: int = 250) -> RGB:
    return np.full((*size_wh[::-1], 3), shade, np.uint8)


def with_box(picture: RGB, xywh: tuple[int, int, int, int], colour: tuple[int, int, int]) -> RGB:
    x, y, w, h = xywh
    out = picture.copy()
    out[y : y + h, x : x + w] = colour
    return out


def stamped(picture: RGB, text: str, at: tuple[int, int], *, size: float, opacity: float) -> RGB:
    layer = picture.copy()
    cv2.putText(layer, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (20, 20, 20), 2, cv2.LINE_AA)
    mixed = cv2.addWeighted(layer, opacity, picture, 1 - opacity, 0)
    return decode(encode_jpeg(mixed.astype(np.uint8), 85), min_side_px=None)


def maison(every: int) -> Sequence[RGB]:
    return [decode(path.read_bytes()) for path in sorted(MAISON.glob("**/*.jpg"))[::every]]
