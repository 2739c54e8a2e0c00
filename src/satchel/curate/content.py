"""Contents of a photo besides its product, or instead of it: faces, a watermark, several objects.

All of this only ever makes a photo doubtful. A watermark across the product itself is found from
many photos of its shop: `satchel.curate.shop_mark`. Measurements, rejected ideas and thresholds:
docs/decisions/0009-content.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from satchel.arrays import Doubles
from satchel.curate.faces import FaceFinder
from satchel.curate.rules import ContentThresholds
from satchel.curate.scaling import resized, scaled_size
from satchel.images import RGB

Grey = npt.NDArray[np.uint8]


BACKGROUND_SIDE_PX: Final = 512
"""Longer side of the copy that letters are searched for in: those of a mark in a corner, a fifth of
the width long, still have 6 pixels there."""

OBJECT_SIDE_PX: Final = 256
RING_PX: Final = 6
BACKGROUND_LEVELS: Final = 8
"""By how much the background's colour may vary in any channel."""

EVEN_SHARE: Final = 0.6
"""Share of the photo's rim that is of the background's colour where that is even. The rest may be
the product, or the person who wears it, cut off by the photo's side."""

INK_LEVELS: Final = 16
"""Contrast between background and anything on it. Fainter letters are hardly legible; the
noise that JPEG leaves around them begins at half of it."""

LETTER_PX: Final = (5, 64)
"""Longer side of a letter, in the copy of `BACKGROUND_SIDE_PX`."""

LETTER_GAP_PX: Final = 13
LETTERS: Final = 5
"""Letters of a line, at least. Studs and beads in a row come in fours often enough."""

SURE_LETTERS: Final = 16
"""Letters from which on there is no doubt about text."""

PART: Final = 0.015
"""Share of the picture that an object covers at least: a label, a watermark's word have less."""

COMPARABLE: Final = 0.15
"""Size of an object ÷ that of the largest, at least."""

JOIN_PX: Final = 9
"""Gap that is bridged, in the copy of `OBJECT_SIDE_PX`: a white strap on a white background."""

WITHIN: Final = 0.3
"""Share of an object's box that may lie within the box of a larger one."""

PAIR_LEVELS: Final = 40.0
PAIR_SIZE: Final = 0.5
"""Two objects whose mean colours differ by at most so many levels in each channel, and whose sizes
have at least this ratio, are a pair: shoes, gloves, earrings."""


class Shown(StrEnum):
    """Content besides the product, as a reason for doubt."""

    FACES = "faces"
    WATERMARK = "watermark"
    SEVERAL_OBJECTS = "several_objects"


@dataclass(frozen=True, slots=True)
class ContentFigures:
    """Measurements of what a photo shows besides its product.

    Attributes:
        faces: share of the picture in boxes around faces, in [0, 1].
        watermark: evidence of text on the even background around the product, in [0, 1]: letters in
            lines ÷ `SURE_LETTERS`. 0 where the background is not even: none can be found there.
        objects: separate objects of comparable size on even background, ≥ 1; two similar ones are
            one pair. 1 where the background is not even.
    """

    faces: float
    watermark: float
    objects: int


def measure_content(pixels: RGB, faces: FaceFinder) -> ContentFigures:
    """Measure what a photo shows besides its product.

    Args:
        pixels: shape (h, w, 3), uint8, RGB, upright, as decoded at any scale.
        faces: the face detector.
    """
    x0, y0, x1, y1 = faces.find(pixels).T
    share = min(1.0, float(((x1 - x0) * (y1 - y0)).sum()))
    copy = resized(pixels, scaled_size(pixels.shape, BACKGROUND_SIDE_PX))
    background = _background(copy)
    if background is None:
        return ContentFigures(faces=share, watermark=0.0, objects=1)
    contrast = _contrast(copy, background)
    return ContentFigures(
        faces=share,
        watermark=min(1.0, _letters(contrast) / SURE_LETTERS),
        objects=_objects(copy, contrast),
    )


def shown(
    content: Mapping[str, float], limits: ContentThresholds
) -> list[tuple[Shown, float, float]]:
    """Return what makes a photo doubtful: reason, measured value and threshold.

    Args:
        content: the fields of `ContentFigures`, and `mark` where a shop's mark was searched for.
    """
    mark = content.get("mark", 0.0)
    held = (
        (Shown.FACES, content["faces"], limits.faces),
        (Shown.WATERMARK, content["watermark"], limits.watermark),
        (Shown.WATERMARK, mark, limits.mark),
        (Shown.SEVERAL_OBJECTS, content["objects"], limits.objects),
    )
    shown = [(kind, figure, limit) for kind, figure, limit in held if figure >= limit and figure]
    return [row for at, row in enumerate(shown) if row[0] not in {k for k, *_ in shown[:at]}]


def _background(copy: RGB) -> Doubles | None:
    """Return the colour of an even background, shape (3,), levels; None where it is not even.

    The commonest brightness of the rim, not its median: a person cut off below may have half.
    """
    ring = np.concatenate(
        [copy[rows].reshape(-1, 3) for rows in (slice(RING_PX), slice(-RING_PX, None))]
        + [copy[:, columns].reshape(-1, 3) for columns in (slice(RING_PX), slice(-RING_PX, None))]
    ).astype(np.int16)
    brightness = ring.sum(1) // 3
    counts = np.convolve(np.bincount(brightness, minlength=256), np.ones(7), "same")
    near = np.abs(brightness - counts.argmax()) <= 4
    colour = np.median(ring[near], axis=0)
    even = (np.abs(ring - colour) <= BACKGROUND_LEVELS).all(1).mean()
    return colour if even >= EVEN_SHARE else None


def _contrast(copy: RGB, background: Doubles) -> Grey:
    """Return each pixel's distance from the background, in the channel of the largest; levels."""
    even = np.broadcast_to(background.round().astype(np.uint8), copy.shape)
    red, green, blue = cv2.split(cv2.absdiff(copy, even))
    return cv2.max(cv2.max(red, green), blue).astype(np.uint8, copy=False)


def _letters(contrast: Grey) -> int:
    """Count letters in straight lines on the background, outside of every object's hull."""
    ink = (contrast > INK_LEVELS).view(np.uint8)
    _, labels, stats, centres = cv2.connectedComponentsWithStats(ink, connectivity=8)
    width, height = stats[:, 2], stats[:, 3]
    side = np.maximum(width, height)
    letter = (side >= LETTER_PX[0]) & (side <= LETTER_PX[1]) & (np.minimum(width, height) >= 2)
    letter[0] = False  # the background
    x, y = centres.round().astype(np.intp).T
    letter &= _objects_hulls(ink)[y, x] == 0
    if letter.sum() < LETTERS:
        return 0
    gap = np.ones((LETTER_GAP_PX, LETTER_GAP_PX), np.uint8)
    near = cv2.dilate(letter[labels].view(np.uint8), gap)
    line = cv2.connectedComponents(near)[1][y, x]
    size = np.sqrt(width * height)
    rows = np.flatnonzero(letter & (line > 0))  # the middle of a large O is background
    lines = [rows[line[rows] == number] for number in np.unique(line[rows])]
    return sum(_in_line(centres[members], size[members]) for members in lines)


def _objects_hulls(ink: Grey) -> Grey:
    """1 inside the hulls of what is too large for a letter, 0 elsewhere.

    Print on a white carton has the background's colour around it, too.
    """
    hulls = np.zeros_like(ink)
    outlines = cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    for outline in outlines:
        if max(cv2.boundingRect(outline)[2:]) > LETTER_PX[1]:
            cv2.fillConvexPoly(hulls, cv2.convexHull(outline), 1)
    return hulls


def _in_line(centres: Doubles, size: Doubles) -> int:
    """Count neighbours of similar size, if they are enough and their middles lie on a line.

    Args:
        centres: shape (n, 2), pixels.
        size: shape (n,), pixels.
    """
    middle = np.median(size)
    similar = (size > middle / 2) & (size < middle * 2)
    if similar.sum() < LETTERS:
        return 0
    offsets = centres[similar] - centres[similar].mean(0)
    spread = np.linalg.svd(offsets, compute_uv=False) / np.sqrt(len(offsets))
    return int(similar.sum()) if spread[1] < 0.6 * middle else 0


def _objects(copy: RGB, contrast: Grey) -> int:
    """Count separate objects of comparable size; two similar ones count as one."""
    size_hw = scaled_size(contrast.shape, OBJECT_SIDE_PX)
    small, colours = resized(contrast, size_hw), resized(copy, size_hw)
    off = (small > INK_LEVELS).view(np.uint8)
    clean = cv2.morphologyEx(off, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    joined = cv2.morphologyEx(clean, cv2.MORPH_CLOSE, np.ones((JOIN_PX, JOIN_PX), np.uint8))
    _, labels, components, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    stats = components.astype(np.intp)
    area = stats[:, 4]
    area[0] = 0  # the background
    large = np.flatnonzero(area >= max(PART * small.size, COMPARABLE * area.max()))
    apart = _apart(stats, large[np.argsort(-area[large], kind="stable")])
    if len(apart) != 2:
        return max(1, len(apart))
    first, second = (
        np.array(cv2.mean(colours, (labels == label).view(np.uint8))[:3]) for label in apart
    )
    similar = bool((np.abs(first - second) <= PAIR_LEVELS).all())
    return 1 if similar and area[apart[1]] >= PAIR_SIZE * area[apart[0]] else 2


def _apart(stats: npt.NDArray[np.intp], labels: npt.NDArray[np.intp]) -> list[int]:
    """Of components, largest first, those outside the boxes of larger ones.

    A person in white on a white background gives several components, and so does a chain.
    """
    kept: list[int] = []
    for label in labels:
        x, y, width, height = stats[label, :4]
        inside = 0.0
        for other in kept:
            x0, y0, w, h = stats[other, :4]
            across = min(x + width, x0 + w) - max(x, x0)
            down = min(y + height, y0 + h) - max(y, y0)
            inside = max(inside, max(across, 0) * max(down, 0) / (width * height))
        if inside <= WITHIN:
            kept.append(int(label))
    return kept
