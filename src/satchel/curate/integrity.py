"""Quality of a photo by itself, from its pixels alone: size, blur, exposure, text, collage.

`measure` takes measurements, `faults` compares them with thresholds; measurements are stored, so
that other thresholds need no photo read again. Unreadable files and animations are handled on
import (`satchel.images`).

Everything is measured on a grey copy of one size, so that a measurement means the same for a
phone's photo and for a thumbnail, and does not depend on the scale of decoding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from satchel.arrays import Bools, Doubles
from satchel.curate.rules import IntegrityThresholds
from satchel.images import RGB

Grey = npt.NDArray[np.uint8]

WORKING_SIDE_PX: Final = 384
"""Longer side of the copy that is measured: the letters of a page 800 pixels wide still join into
lines, and all measurements together take less than 3 ms on one core."""

FLAT_LEVELS: Final = 3
"""A pixel whose 3 × 3 neighbours differ by at most this is on an even surface. The noise of a
JPEG of quality 90 is below, the folds of a white cloth on a white background are above."""

INK_LEVELS: Final = 40
"""Contrast between paper and ink, within 3 × 3 pixels, that can be a stroke of a letter."""

EVEN_LINE_LEVELS: Final = 6
"""A row or column whose pixels span at most this is border."""

SEAM_LEVELS: Final = 16
"""Step across a boundary, over two pixels, that counts for a seam."""

SEAM_SHARE: Final = 0.85
"""Share of a picture's full height (or width) along which a seam has such a step."""

SEAM_RISE: Final = 0.5
"""By how much that share exceeds that of the neighbouring lines. Railings, shelves and fabric have
many lines with steps; the boundary of two pictures is one."""

SEAM_MARGIN: Final = 0.15
"""Share of the photo at each side in which a seam is a frame, not a gutter of panels."""

SEAM_PX: Final = 4
"""What lies nearer to a seam belongs to it."""

SHOWN_SHARE: Final = 0.03
"""Share of a panel's pixels that have a contrast of `SEAM_LEVELS` to a neighbour. Margins and plain
walls of 277 studio photos have up to 0.02, panels of 600 collages 0.05 or more
(`benchmarks/collages.py`)."""

MOST_EDGES: Final = 6
"""Straight full-length edges of a collage: four panels a row, three gutters of two edges. What
has more is striped."""

NOISE_KERNEL: Final = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


class Fault(StrEnum):
    """Fault of a photo, whatever it shows."""

    TOO_SMALL = "too_small"
    WRONG_ASPECT = "wrong_aspect"
    BLANK = "blank"
    TEXT_SCREENSHOT = "text_screenshot"
    COLLAGE = "collage"
    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"


_EXPOSURE: Final = (Fault.TOO_DARK, Fault.TOO_BRIGHT)


@dataclass(frozen=True, slots=True)
class PhotoFigures:
    """Measurements of one photo. Shares are of its pixels, in [0, 1]; levels in [0, 255].

    Attributes:
        width: of the stored photo, in pixels.
        height: of the stored photo, in pixels.
        sharpness: variance of the Laplacian (Pech-Pacheco et al., ICPR 2000), levels².
        mean: level.
        dark: share at level 5 or below.
        bright: share at level 250 or above.
        darkest: level that 2 % of the pixels off even surfaces do not exceed: the pure background
            of a studio does not show the exposure of the object.
        brightest: level that 98 % of them do not exceed.
        noise: standard deviation, levels (Immerkær, "Fast noise variance estimation", 1996). An
            upper bound where the picture is all fine texture.
        entropy: of the levels' histogram, bits, in [0, 8].
        border: share of the picture in even rows and columns at its sides.
        flat: share on even surfaces.
        text: share inside shapes like lines of text.
        panels: pictures that full-length seams divide it into, blank parts left out; 1 for a single
            photo.
    """

    width: int
    height: int
    sharpness: float
    mean: float
    dark: float
    bright: float
    darkest: int
    brightest: int
    noise: float
    entropy: float
    border: float
    flat: float
    text: float
    panels: int

    @property
    def shorter_side(self) -> int:
        """In pixels, of the stored photo."""
        return min(self.width, self.height)

    @property
    def aspect(self) -> float:
        """Longer side ÷ shorter side, ≥ 1."""
        return max(self.width, self.height) / self.shorter_side

    @property
    def screenshot(self) -> float:
        """Similarity to a page of text: share of text × share of even surface, in [0, 1].

        A label on a carton is text without even surface; a studio photo is even without text.
        """
        return self.text * self.flat


@dataclass(frozen=True, slots=True)
class FoundFault:
    """A fault, its measurement and the threshold that it passed."""

    kind: Fault
    figure: float
    threshold: float


def measure(pixels: RGB, *, width: int, height: int) -> PhotoFigures:
    """Measure a photo.

    Args:
        pixels: shape (h, w, 3), uint8, RGB, upright, as decoded at any scale.
        width: of the stored photo, in pixels.
        height: likewise.
    """
    grey = _working_copy(pixels)
    histogram = _histogram(grey, None)
    up_to = histogram.cumsum()
    gradient = _gradient(grey)
    even = gradient <= FLAT_LEVELS
    uneven = histogram if even.all() else _histogram(grey, ~even)
    return PhotoFigures(
        width=width,
        height=height,
        sharpness=_sharpness(grey),
        mean=float(histogram @ np.arange(256)),
        dark=float(up_to[5]),
        bright=float(1 - up_to[249]),
        darkest=_level(uneven, 0.02),
        brightest=_level(uneven, 0.98),
        noise=_noise(grey),
        entropy=_entropy(histogram),
        border=_border(grey),
        flat=float(even.mean()),
        text=_text(gradient),
        panels=_panels(grey, gradient)
        * _panels(np.ascontiguousarray(grey.T), np.ascontiguousarray(gradient.T)),
    )


def faults(
    figures: PhotoFigures, thresholds: IntegrityThresholds | None = None
) -> tuple[FoundFault, ...]:
    """Return the faults of a photo, in the order of `Fault`."""
    limit = thresholds or IntegrityThresholds()
    at_least = {
        Fault.TOO_SMALL: (figures.shorter_side, limit.shorter_side),
        Fault.BLURRED: (figures.sharpness, limit.sharpness),
        Fault.TOO_DARK: (figures.brightest, limit.brightest),
    }
    at_most = {
        Fault.WRONG_ASPECT: (figures.aspect, limit.aspect),
        Fault.BLANK: (figures.flat, limit.flat),
        Fault.TEXT_SCREENSHOT: (figures.screenshot, limit.screenshot),
        Fault.COLLAGE: (figures.panels, limit.panels),
        Fault.TOO_BRIGHT: (figures.darkest, limit.darkest),
    }
    over = {kind: pair for kind, pair in at_least.items() if pair[0] < pair[1]}
    over |= {kind: pair for kind, pair in at_most.items() if pair[0] > pair[1]}
    if Fault.BLANK in over:  # a photo that shows nothing has no exposure or sharpness
        over = {k: pair for k, pair in over.items() if k not in (*_EXPOSURE, Fault.BLURRED)}
    elif over.keys() & set(_EXPOSURE):  # without contrast there is no sharpness to measure
        over.pop(Fault.BLURRED, None)
    return tuple(
        FoundFault(kind, float(over[kind][0]), float(over[kind][1]))
        for kind in Fault
        if kind in over
    )


def _working_copy(pixels: RGB) -> Grey:
    """Grey, its longer side `WORKING_SIDE_PX`, its shorter one at least 16 pixels."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = WORKING_SIDE_PX / max(grey.shape)
    height, width = (max(16, round(side * scale)) for side in grey.shape)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(grey, (width, height), interpolation=method).astype(np.uint8, copy=False)


def _gradient(grey: Grey) -> Grey:
    """Greatest less smallest level among each pixel's 3 × 3 neighbours."""
    kernel = np.ones((3, 3), np.uint8)
    return cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, kernel).astype(np.uint8, copy=False)


def _sharpness(grey: Grey) -> float:
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0] ** 2)


def _histogram(grey: Grey, of: Bools | None) -> Doubles:
    """Share of each level among the pixels `of`, or all; shape (256,)."""
    mask = None if of is None else of.view(np.uint8)
    counts = cv2.calcHist([grey], [0], mask, [256], [0, 256])[:, 0]
    shares: Doubles = counts.astype(np.float64) / counts.sum()
    return shares


def _level(histogram: Doubles, share: float) -> int:
    """Return the level that a share of the pixels does not exceed."""
    return min(255, int(np.searchsorted(histogram.cumsum(), share)))


def _noise(grey: Grey) -> float:
    """Immerkær 1996, equation 4: the mean size of what a Laplacian pair leaves over."""
    height, width = grey.shape
    left = cv2.filter2D(grey, cv2.CV_16S, NOISE_KERNEL)[1:-1, 1:-1]
    total = cv2.norm(left, cv2.NORM_L1)
    return float(math.sqrt(math.pi / 2) * total / (6 * (width - 2) * (height - 2)))


def _entropy(histogram: Doubles) -> float:
    present = histogram[histogram > 0]
    return float(-(present * np.log2(present)).sum()) + 0.0  # no negative zero


def _border(grey: Grey) -> float:
    """Share of the picture outside the box of its uneven rows and columns."""
    inside = 1.0
    for axis in (0, 1):
        span = np.ptp(grey, axis=axis)
        uneven = np.flatnonzero(span > EVEN_LINE_LEVELS)
        inside *= (uneven[-1] - uneven[0] + 1) / len(span) if len(uneven) else 0.0
    return float(1.0 - inside)


def _text(gradient: Grey) -> float:
    """Share of the picture in long, low, filled shapes: strokes joined along the line.

    After morphological-gradient text localisation, as in Hasan and Karam, "Morphological text
    extraction from images", IEEE Transactions on Image Processing 9(11), 2000.
    """
    _, strokes = cv2.threshold(gradient, INK_LEVELS, 255, cv2.THRESH_BINARY)
    lines = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((1, 9), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=4)
    width, height, area = stats[1:, 2], stats[1:, 3], stats[1:, 4]
    shape = (height >= 4) & (height <= 24) & (width >= 3 * height)
    text = shape & (area >= 0.45 * width * height)
    return float((width * height)[text].sum() / gradient.size)


def _panels(grey: Grey, gradient: Grey) -> int:
    """How many pictures straight seams of the full height divide the picture into, side by side.

    What is between seams counts where it shows something: a margin, by which a photo is padded to a
    square, and a plain wall above a table do not.
    """
    edges = _full_edges(grey)
    if len(edges) > MOST_EDGES:
        return 1
    starts, ends = [0, *(last for _, last in edges)], [*(first for first, _ in edges), len(grey.T)]
    margin = _margin(grey)
    shown = [
        float((gradient[:, start + SEAM_PX : end - SEAM_PX] > SEAM_LEVELS).mean())
        for start, end in zip(starts, ends, strict=True)
        if end - start >= margin
    ]
    return max(1, sum(share >= SHOWN_SHARE for share in shown))


def _full_edges(grey: Grey) -> list[tuple[int, int]]:
    """First and last column of each straight edge of the full height, well apart from the sides."""
    step = cv2.absdiff(grey[:, 2:], grey[:, :-2]) > SEAM_LEVELS
    share = step.mean(0)
    # An edge's step shows in two columns, and a gutter's in two more beyond it.
    neighbours = np.maximum(np.roll(share, 8), np.roll(share, -8))
    edge = (share >= SEAM_SHARE) & (share - neighbours >= SEAM_RISE)
    margin = _margin(grey)
    at = np.flatnonzero(edge[margin : len(edge) - margin]) + margin + 1
    groups = np.split(at, np.flatnonzero(np.diff(at) > 3) + 1)
    return [(int(group[0]), int(group[-1])) for group in groups if len(group)]


def _margin(grey: Grey) -> int:
    """Least width of a panel, in pixels."""
    return max(8, round(SEAM_MARGIN * len(grey.T)))
