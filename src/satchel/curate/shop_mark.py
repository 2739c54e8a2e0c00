"""Watermark of a shop: the edges that most of its photos have in the same place.

In one photo, a mark across the product cannot be distinguished from a print on it. Docs:
docs/decisions/0009-content.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from satchel.arrays import Bools, Floats
from satchel.curate.scaling import resized
from satchel.images import RGB

Gradients = npt.NDArray[np.int16]

MARK_SIDE_PX: Final = 320

MARK_PHOTOS: Final = 24
"""Photos that a shop's mark is searched for in, at least. Of 12, even mixed ones, some edges agree
at random."""

MAX_MARK_PHOTOS: Final = 64
"""Photos searched, at most: their gradients take 26 MB."""

SOBEL_SUM: Final = 4
"""Divisor that makes a Sobel filter's answer levels per pixel, of two pixels' distance."""

MARK_LEVELS: Final = 3.0
"""Gradient of a mark's edge, levels per pixel."""

MARK_AGREEMENT: Final = 0.75
"""Share of the photos that must have this gradient, in direction and, within a factor of two, in
size."""

MARK_PIXELS: Final = 50
"""Such places that a mark has at least. 24 mixed photos without one have none; photos of one kind
of clothes in one pose 2 to 26, once 222."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A shop's watermark, as gradients.

    Attributes:
        at: shape (n,), intp: its edges, as places in a picture of `MARK_SIDE_PX` squared.
        gradients: shape (2, n), float32: levels per pixel across and down.
    """

    at: npt.NDArray[np.intp]
    gradients: Floats


def find_mark(photos: Sequence[RGB]) -> Mark | None:
    """Find the mark that most of a shop's photos carry in the same place; None without one.

    The median over the photos of each pixel's gradient keeps what most have in common (Dekel et
    al., "On the effectiveness of visible watermarks", CVPR 2017, section 3.1); of that, edges
    whose strength and direction are the same in nearly all photos, as no product's are.

    Args:
        photos: of one shop and of different products, equal in aspect, shape (h, w, 3), uint8,
            RGB each. Of more than `MAX_MARK_PHOTOS` the first are used; fewer than
            `MARK_PHOTOS` are not enough.
    """
    if len(photos) < MARK_PHOTOS:
        return None
    stack = np.stack([_gradients(photo) for photo in photos[:MAX_MARK_PHOTOS]])
    common = np.median(stack, axis=0).astype(np.float32)
    at = np.flatnonzero((common**2).sum(0) >= MARK_LEVELS**2)
    same = np.mean([_has(gradients[:, at], common[:, at]) for gradients in stack], axis=0)
    at = at[same >= MARK_AGREEMENT]
    return Mark(at, common[:, at]) if len(at) >= MARK_PIXELS else None


def mark_share(pixels: RGB, mark: Mark) -> float:
    """Return the share of a mark's edges that one photo has, in [0, 1]."""
    return float(_has(_gradients(pixels)[:, mark.at], mark.gradients).mean())


def _gradients(pixels: RGB) -> Gradients:
    """Levels per pixel across and down, of a grey copy drawn to a square; (2, n), int16."""
    copy = cv2.cvtColor(resized(pixels, (MARK_SIDE_PX, MARK_SIDE_PX)), cv2.COLOR_RGB2GRAY)
    both = [cv2.Sobel(copy, cv2.CV_16S, *order, ksize=3) for order in ((1, 0), (0, 1))]
    return (np.stack(both).reshape(2, -1) // SOBEL_SUM).astype(np.int16)


def _has(gradients: Gradients, mark: Floats) -> Bools:
    """Where a photo's gradients are the mark's, within a factor of two; (n,) of (2, n) each."""
    ratio = (gradients * mark).sum(0) / (mark**2).sum(0)
    same: Bools = (ratio > 0.5) & (ratio < 2)
    return same
