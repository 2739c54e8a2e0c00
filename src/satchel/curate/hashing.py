"""Hashes of a photo's pixels: a digest for equal pixels, a perceptual hash for similar ones."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
import xxhash

from satchel.arrays import Bytes, Floats
from satchel.images import RGB

HASH_BYTES: Final = 32
HASH_BITS: Final = 8 * HASH_BYTES

_SIDE_PX: Final = 64
_MIN_ROWS: Final = 192
_SAMPLED_SIDE_PX: Final = 128
"""Points sampled along each side before areas are averaged: twice 64, which averages fastest.
Averaging every pixel takes several times as long and changes about five bits of 256."""

_FREQUENCIES: Final = 16

BLANK_CONTRAST: Final = 3.0
"""Standard deviation in grey levels below which a photo's perceptual hash is noise.

A sensor's noise over one colour, saved as JPEG of quality 30, stays below 1.1; the flattest of
1,371 photos of the shared sets has 18.
"""


class PerceptualHash(NamedTuple):
    """A perceptual hash of a photo.

    Attributes:
        bits: shape (32,), uint8: 256 bits, row by row, the most significant first.
        informative: False for a blank or nearly blank photo, whose hash is rounding and coding
            noise and must not be compared.
    """

    bits: Bytes
    informative: bool


def pixel_digest(pixels: RGB) -> bytes:
    """Return the XXH3 hash (128 bits, 16 bytes) of a photo's shape and pixels.

    Metadata and encoding do not enter. Digests are comparable only between photos that were
    decoded at the same `min_side_px`. XXH3 resists accidents, not attacks: a forged collision
    makes one photo count as a copy of another, which a person can undo in the review.

    Args:
        pixels: shape (height, width, 3), uint8.
    """
    digest = xxhash.xxh3_128(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def perceptual_hash(pixels: RGB) -> PerceptualHash:
    """Return the DCT hash of a photo: which low frequencies are above their median.

    The photo is sampled at 128 × 128 points, converted to grey, shrunk to 64 × 64 by averaging
    areas and cosine-transformed; a bit is 1 where one of the 16 × 16 lowest frequencies is above
    the median of the 256. Scaling, recompression and a change of brightness or contrast flip few
    bits; two unrelated photos differ in about 128.

    Source: C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010),
    section 3.2.1, at 256 bits instead of 64.

    Args:
        pixels: shape (height, width, 3), uint8; neither side needs more than 64 px.
    """
    grey = _small_grey(pixels)
    contrast = float(cv2.meanStdDev(grey)[1][0, 0])  # a sixth of the time of numpy's
    coefficients = (_DCT @ grey.astype(np.float32) @ _DCT.T).ravel()
    # The lower of the two middle values: above it is above the median, for a tenth of the time.
    middle = np.partition(coefficients, HASH_BITS // 2 - 1)[HASH_BITS // 2 - 1]
    return PerceptualHash(np.packbits(coefficients > middle), contrast >= BLANK_CONTRAST)


def _small_grey(pixels: RGB) -> Bytes:
    """Return the sampled photo in grey; shape (64, 64), uint8."""
    step = max(1, pixels.shape[0] // _MIN_ROWS)
    rows = pixels[step // 2 :: step]
    size_wh = (min(rows.shape[1], _SAMPLED_SIDE_PX), min(rows.shape[0], _SAMPLED_SIDE_PX))
    sampled = cv2.resize(rows, size_wh, interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(sampled, cv2.COLOR_RGB2GRAY)
    shrunk = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.uint8, copy=False)


def _dct_matrix() -> Floats:
    """The 16 lowest rows of the orthonormal DCT-II of 64 points; shape (16, 64), float32."""
    k, n = np.arange(_FREQUENCIES)[:, None], np.arange(_SIDE_PX)[None]
    rows = np.cos(np.pi * (2 * n + 1) * k / (2 * _SIDE_PX)) * np.sqrt(2 / _SIDE_PX)
    rows[0] /= np.sqrt(2)
    matrix: Floats = rows.astype(np.float32)
    return matrix


_DCT: Final = _dct_matrix()
