"""Resizing photos to the working sizes of curation's measurements."""

from __future__ import annotations

import cv2
import numpy as np

from satchel.arrays import Bytes


def scaled_size(shape: tuple[int, ...], side_px: int) -> tuple[int, int]:
    """Return height and width of a copy whose longer side is `side_px`; at least 16 pixels each."""
    scale = side_px / max(shape[:2])
    return max(16, round(shape[0] * scale)), max(16, round(shape[1] * scale))


def resized(pixels: Bytes, size_hw: tuple[int, int]) -> Bytes:
    """Return a copy of this height and width: by averaging areas where it is smaller."""
    smaller = size_hw[0] * size_hw[1] < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(pixels, size_hw[::-1], interpolation=method).astype(np.uint8, copy=False)
