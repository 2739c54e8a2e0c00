"""Colour histograms, compared by inner product.

Networks trained to recognise things in any colour keep little of it; products of one model
often differ in nothing else. Only a and b of CIE L*a*b* are kept: lightness depends more
on the illumination than on the object.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from satchel.arrays import Doubles, Floats
from satchel.images import RGB

SIDE: Final = 64
"""The crop is resized to this many pixels a side."""

BINS: Final = 12
"""Bins a side of the histogram over a and b, from -`REACH` to `REACH`."""

REACH: Final = 60.0

COLOURS: Final = BINS * BINS
"""Length of a histogram."""

GAMMA: Final = 2.2

STEEPNESS: Final = 8.0
"""How sharply the object is separated from the background, in multiples of the mean saliency."""


def colour_histogram(crop: RGB, saliency: Floats) -> Floats:
    """Return the colour histogram of the salient part of a crop.

    Each pixel is weighted by the saliency at its position, and spread over the four bins around
    its colour. The roots of the bins' shares are taken: their inner product with another
    histogram's is the Bhattacharyya coefficient (A. Bhattacharyya, "On a measure of divergence
    between two statistical populations", Bulletin of the Calcutta Mathematical Society 35, 1943).
    The result is the sum of two histograms: of the crop unchanged, and white-balanced.

    Args:
        crop: shape (side, side, 3), uint8, RGB.
        saliency: shape (h, w), float32, ≥ 0; of the crop.

    Returns:
        shape (`COLOURS`,), float32, ≥ 0, of length 1.
    """
    small = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    pixels = small.astype(np.float32) / np.float32(255)
    weights = _foreground(saliency)
    both = _histogram(pixels, weights) + _histogram(_balanced(pixels), weights)
    return (both / np.linalg.norm(both)).astype(np.float32)


def _histogram(pixels: Floats, weights: Floats) -> Doubles:
    """Roots of the share of each bin over a and b; shape (`COLOURS`,), of length 1."""
    ab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[..., 1:].reshape(-1, 2)
    place = (ab + REACH) * (BINS / (2 * REACH)) - 0.5
    low = np.floor(place)
    above = place - low
    histogram = np.zeros(COLOURS)
    for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        a, b = np.clip(low + step, 0, BINS - 1).astype(int).T
        share = np.where(step, above, 1 - above).prod(1) * weights.ravel()
        histogram += np.bincount(a * BINS + b, share, COLOURS)
    roots: Doubles = np.sqrt(histogram / histogram.sum())
    return roots


def _balanced(pixels: Floats) -> Floats:
    """White-balance by the "shades of grey" estimate (mean of sixth powers).

    G. D. Finlayson, E. Trezzi, "Shades of gray and colour constancy", Color Imaging Conference,
    2004. Pixels in [0, 1], shape (h, w, 3).
    """
    linear = pixels**GAMMA
    light = (linear**6).mean((0, 1)) ** (1 / 6)
    gains = light.mean() / np.maximum(light, 1e-6)
    balanced: Floats = np.clip(linear * gains, 0, 1) ** (1 / GAMMA)
    return balanced.astype(np.float32)


def _foreground(saliency: Floats) -> Floats:
    """Soft foreground mask from saliency, in (0, 1); shape (`SIDE`, `SIDE`)."""
    fine = cv2.resize(saliency, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    relative = fine / max(float(fine.mean()), 1e-12)
    foreground: Floats = 1 / (1 + np.exp(-STEEPNESS * (relative - 1)))
    return foreground
