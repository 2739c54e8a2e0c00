"""Pixel comparison of two overlaid photos: what differs beyond recompression and resizing."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from satchel.arrays import Bools, Floats
from satchel.images import RGB

NOISE_LEVELS: Final = 4.0
"""Levels of 255 that recompressing changes an even surface by, at most."""

LUMA_NOISE: Final = 0.57

CHROMA_NOISE: Final = 0.94
"""How far recompressing and resizing take brightness and colour, in units of `NOISE_LEVELS` and
the strength of the edges around: 999 of 1,000 copies stay below either (decision 7)."""

_SOFTENED_PX: Final = 1.1  # at half of SIDE_PX; finer than this is coding noise

_DARK, _BRIGHT = 6.0, 249.0  # beyond these, a channel is clipped

_YCC: Final = np.array(
    [[0.299, 0.587, 0.114], [0.5, -0.4187, -0.0813], [-0.1687, -0.3313, 0.5]], np.float32
)
"""RGB → brightness and two colour differences (ITU-T T.871, section 7), offsets left out."""


def differences(
    a: RGB, b: RGB, inside: Bools, gain: float, offset: float
) -> tuple[float, float, float]:
    """Return `difference`, `marked` and `turned` of `DuplicateThresholds`.

    Recompressing, resizing and half a pixel of misalignment leave differences that change sign
    across edges and grow with them; a surface of another colour leaves one that does not. So what
    is left after blurring is compared with the blurred strength of the edges there.
    """
    expected = gain * b.astype(np.float32) + np.float32(offset)
    signed = residual(a.astype(np.float32), b, expected)
    signed[~inside] = 0
    y, u, v = cv2.split(_softened(_ycc(signed)))
    actual, other = _ycc(a.astype(np.float32)), _ycc(expected)
    edges = NOISE_LEVELS + _softened(np.maximum(_edges(actual), _edges(other)))
    within = inside[::2, ::2]
    by_luma = np.abs(y) / (LUMA_NOISE * edges[..., 0])
    by_chroma = cv2.magnitude(u, v) / (CHROMA_NOISE * edges.max(2))
    difference = np.maximum(by_luma, by_chroma)[within]
    turned = by_chroma[_turned(_softened(actual), _softened(other)) & within]
    return (
        float(difference.max()),
        float((difference > 1).mean()),
        float(turned.max(initial=0.0)),
    )


def _ycc(pixels: Floats) -> Floats:
    """Brightness and two colour differences of RGB, all shape (h, w, 3), float32."""
    return cv2.transform(pixels, _YCC).astype(np.float32, copy=False)


def residual(a: Floats, b: RGB, expected: Floats) -> Floats:
    """Return by how much `a` is above or below `expected`, which is `b` in `a`'s brightness.

    Where a channel is clipped in one picture, it only has to be as far out in the other.
    """
    low, high = np.minimum(expected, _BRIGHT), np.maximum(expected, _DARK)
    low[b <= _DARK], high[b >= _BRIGHT] = -np.inf, np.inf
    above = np.where(a <= _DARK, 0, np.maximum(a - high, 0))
    below = np.where(a >= _BRIGHT, 0, np.maximum(low - a, 0))
    signed: Floats = above - below
    return signed


def _edges(colours: Floats) -> Floats:
    """Strength of each channel's gradient, levels per pixel; float32."""
    across, down = (
        cv2.Sobel(colours, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))
    )
    strength: Floats = np.sqrt(across * across + down * down)
    return strength


def _turned(a: Floats, b: Floats) -> Bools:
    """Where colours, shape (h, w, 3), do not lie in one direction from grey.

    Ink takes colour away in proportion; only a hue that turns, or appears, is a recolouring.
    """
    (_, u, v), (_, p, q) = cv2.split(a), cv2.split(b)
    turned: Bools = u * p + v * q < 0.9 * cv2.magnitude(u, v) * cv2.magnitude(p, q)
    return turned


def _softened(values: Floats) -> Floats:
    """Blur and halve, so that recompression and half a pixel do not count."""
    return cv2.GaussianBlur(cv2.pyrDown(values), (0, 0), _SOFTENED_PX).astype(
        np.float32, copy=False
    )


def grey(pixels: RGB) -> Floats:
    """Return the brightness of each pixel, shape (h, w), float32, in [0, 255]."""
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)


def fit_brightness(a: Floats, b: Floats) -> tuple[float, float]:
    """Return gain and offset that map most of `b` to `a`, both shape (n,): brightness.

    Least squares, three times over what fits best: a minority that changed has no influence.
    """
    usable = (a > _DARK) & (a < _BRIGHT) & (b > _DARK) & (b < _BRIGHT)
    x, y = b[usable], a[usable]
    gain, offset = 1.0, float(np.median(y - x)) if len(x) else 0.0
    for _ in range(3):
        if len(x) < 50:
            break
        gain, offset = _line(x, y)
        error = np.abs(gain * x + offset - y)
        kept = error <= np.quantile(error, 0.7)
        x, y = x[kept], y[kept]
    return gain, offset


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Least squares through (x, y), shape (n,), limited to gains that photos are edited by."""
    variance = float(x.var())
    slope = float(((x - x.mean()) * (y - y.mean())).mean()) / variance if variance > 20 else 1.0
    gain = min(max(slope, 0.5), 2.0)
    return gain, float(y.mean() - gain * x.mean())


def correlation(x: Floats, y: Floats) -> float:
    """Return the correlation of brightness, both shape (n,); in [-1, 1]."""
    spread = float(x.std() * y.std())
    if spread < 1:
        return 1.0 if abs(float(x.std() - y.std())) < 1 else 0.0  # nothing to correlate
    return float(((x - x.mean()) * (y - y.mean())).mean()) / spread
