"""What a photo's pixels are known by: a digest (the same pixels) and a hash (nearly the same)."""

from __future__ import annotations

import hashlib
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from satchel.images import RGB

HASH_BYTES: Final = 32
HASH_BITS: Final = 8 * HASH_BYTES

_SIDE_PX: Final = 64
_FEWEST_ROWS: Final = 192
_SAMPLED_SIDE_PX: Final = 128
"""Rows looked at, and points taken of each side of them, before areas are averaged: twice 64, which
averages fastest. Averaging every pixel takes three times as long, and four bits of 256 differ."""

_FREQUENCIES: Final = 16

BLANK_CONTRAST: Final = 3.0
"""Grey levels of standard deviation below which a picture's hash says nothing.

A sensor's noise over one colour, saved as JPEG of quality 30, stays below 1.1; the flattest of
1,371 photos of the shared sets has 18.
"""


def pixel_digest(pixels: RGB) -> bytes:
    """Return the SHA-256 of a picture's shape and pixels: 32 bytes, equal for equal pictures.

    Metadata and the way of coding have no part in it. Digests compare only between pictures that
    were decoded alike (the same `min_side_px`).

    Args:
        pixels: shape (height, width, 3), uint8.
    """
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def perceptual_hash(pixels: RGB) -> npt.NDArray[np.uint8]:
    """Return which low frequencies of a picture's brightness are above their median.

    The picture is made grey, sampled at 128 × 128 points, shrunk to 64 × 64 by averaging areas and
    cosine-transformed; a bit is 1 where one of the 16 × 16 lowest frequencies is above the median
    of the 256. Scaling, recompressing and a change of brightness or contrast flip few bits; two
    unrelated pictures differ in about 128. Ask `hash_is_informative` whether it says anything.

    Source: C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010),
    section 3.2.1, at 256 bits instead of 64.

    Args:
        pixels: shape (height, width, 3), uint8; neither side needs more than 64 px.

    Returns:
        shape (32,), uint8: 256 bits, row by row, the most significant first.
    """
    coefficients = (_COSINES @ _small_grey(pixels) @ _COSINES.T).ravel()
    # The lower of the two in the middle: above it is above the median, for a tenth of the time.
    middle = np.partition(coefficients, HASH_BITS // 2 - 1)[HASH_BITS // 2 - 1]
    return np.packbits(coefficients > middle)


def hash_is_informative(pixels: RGB) -> bool:
    """Say whether a picture has content that its perceptual hash could be made of.

    The hash of a blank picture, or one that is nearly so, is made of rounding and coding noise:
    it may be equal to, or far from, that of any other blank one. Such a hash must not be compared.

    Args:
        pixels: shape (height, width, 3), uint8.
    """
    return float(_small_grey(pixels).std()) >= BLANK_CONTRAST


def _small_grey(pixels: RGB) -> npt.NDArray[np.float32]:
    """Shape (64, 64), float32, in [0, 255]."""
    step = max(1, pixels.shape[0] // _FEWEST_ROWS)
    grey = cv2.cvtColor(pixels[step // 2 :: step], cv2.COLOR_RGB2GRAY)
    size_wh = (min(grey.shape[1], _SAMPLED_SIDE_PX), min(grey.shape[0], _SAMPLED_SIDE_PX))
    sampled = cv2.resize(grey, size_wh, interpolation=cv2.INTER_LINEAR)
    shrunk = cv2.resize(sampled, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    values: npt.NDArray[np.float32] = shrunk.astype(np.float32)
    return values


def _cosines() -> npt.NDArray[np.float32]:
    """The 16 lowest rows of the orthonormal DCT-II of 64 points; shape (16, 64), float32."""
    k, n = np.arange(_FREQUENCIES)[:, None], np.arange(_SIDE_PX)[None]
    rows = np.cos(np.pi * (2 * n + 1) * k / (2 * _SIDE_PX)) * np.sqrt(2 / _SIDE_PX)
    rows[0] /= np.sqrt(2)
    matrix: npt.NDArray[np.float32] = rows.astype(np.float32)
    return matrix


_COSINES: Final = _cosines()
