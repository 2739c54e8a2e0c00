"""Augmentation of photos with boxes: letterbox, scale, position, mirror, colour, mosaic.

With OpenCV on uint8 pixels, in threads and without torch. A view depends on its samples and on the
random numbers it is given, on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from satchel.arrays import Bytes, Floats, Ints
from satchel.images import RGB
from satchel.train.augment import Rng, recoloured
from satchel.train.locator.samples import Sample

PAD: Final = 114
"""Grey value where there is no photo, as in the published YOLOX weights."""

LEAST_VISIBLE: Final = 0.25
"""Share of a box that has to remain inside a view for it to count."""

LEAST_SIDE_PX: Final = 2.0


Size = tuple[int, int]
"""Width and height of a resized photo, in pixels."""


def letterbox(pixels: RGB, side_px: int) -> tuple[Bytes, Size]:
    """Resize a photo in its own proportions into the top-left corner of a grey square.

    Returns:
        shape (side, side, 3), uint8; and the size of the photo in it.
    """
    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    canvas = blank(side_px)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    _paste(canvas, pixels, size_wh, (0, 0), (0, 0, side_px, side_px))
    return canvas, size_wh


def blank(side_px: int) -> Bytes:
    """A grey square, shape (side, side, 3), uint8."""
    return np.full((side_px, side_px, 3), PAD, np.uint8)


def random_view(sample: Sample, side_px: int, scales: tuple[float, float], rng: Rng) -> Sample:
    """One photo at a random scale and place, mirrored and recoloured at random.

    Args:
        scales: least and greatest scale; at 1 the longer side fills the view.
    """
    canvas = blank(side_px)
    pixels, _, _ = sample
    factor = side_px / max(pixels.shape[:2])
    size_wh = _random_size(pixels, factor, scales, rng)
    free = side_px - np.array(size_wh)  # negative where the photo is larger: a part of it shows
    x, y = (round(float(v)) for v in free * rng.uniform(0, 1, 2))
    region = (0, 0, side_px, side_px)
    boxes, labels = _placed(canvas, sample, size_wh, (x, y), region)
    return _finished(canvas, boxes, labels, rng)


def mosaic(
    samples: Sequence[Sample], side_px: int, scales: tuple[float, float], rng: Rng
) -> Sample:
    """Four photos around a random point, each in its quadrant; mirrored and recoloured at random.

    Bochkovskiy et al., "YOLOv4", 2020, section 3.3.

    Args:
        samples: four.
        scales: of each, as in `random_view`.
    """
    canvas = blank(side_px)
    cx, cy = (int(v) for v in side_px * rng.uniform(0.3, 0.7, 2))
    regions = (
        (0, 0, cx, cy),
        (cx, 0, side_px, cy),
        (0, cy, cx, side_px),
        (cx, cy, side_px, side_px),
    )
    placed = []
    for sample, region in zip(samples, regions, strict=True):
        left, top, right, bottom = region
        pixels = sample[0]
        width, height = _random_size(pixels, side_px / max(pixels.shape[:2]), scales, rng)
        # The photo's corner lies at the common point; one larger than the quadrant is shifted.
        slack_x, slack_y = (
            round(max(0, drawn - room) * float(rng.random()))
            for drawn, room in ((width, right - left), (height, bottom - top))
        )
        x = right - width + slack_x if left == 0 else left - slack_x
        y = bottom - height + slack_y if top == 0 else top - slack_y
        placed.append(_placed(canvas, sample, (width, height), (x, y), region))
    boxes = np.concatenate([boxes for boxes, _ in placed])
    labels = np.concatenate([labels for _, labels in placed])
    return _finished(canvas, boxes, labels, rng)


def _random_size(pixels: RGB, factor: float, scales: tuple[float, float], rng: Rng) -> Size:
    """Size of a photo: uniform in its logarithm; proportions change by up to 15 %."""
    size = factor * float(np.exp(rng.uniform(*np.log(scales))))
    stretch = float(np.exp(rng.uniform(-1, 1) * np.log(1.15) / 2))
    height, width = pixels.shape[:2]
    return max(1, round(width * size * stretch)), max(1, round(height * size / stretch))


def _placed(
    canvas: Bytes,
    sample: Sample,
    size_wh: Size,
    corner: tuple[int, int],
    region: tuple[int, int, int, int],
) -> tuple[Floats, Ints]:
    """Draw a photo into a region of a canvas; return the boxes that are visible there."""
    pixels, boxes, labels = sample
    _paste(canvas, pixels, size_wh, corner, region)
    scale = np.array(size_wh) / pixels.shape[1::-1]
    return visible_boxes(boxes * np.tile(scale, 2) + np.tile(corner, 2), labels, region)


def visible_boxes(
    boxes: Floats, labels: Ints, region: tuple[int, int, int, int]
) -> tuple[Floats, Ints]:
    """Clip boxes, shape (n, 4), to a region; those of which too little remains are left out."""
    low, high = np.tile(region[:2], 2), np.tile(region[2:], 2)
    clipped = np.clip(boxes, low, high)
    sides = clipped[:, 2:] - clipped[:, :2]
    before = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    stays = (sides.min(1, initial=np.inf) >= LEAST_SIDE_PX) & (
        sides.prod(1) >= LEAST_VISIBLE * before
    )
    return clipped[stays].astype(np.float32), labels[stays]


def _paste(
    canvas: Bytes,
    pixels: RGB,
    size_wh: Size,
    corner: tuple[int, int],
    region: tuple[int, int, int, int],
) -> None:
    """Draw a resized photo so that its left top corner lies at `corner`, inside a region only."""
    (columns, rows), (left, top) = size_wh, corner
    x0, y0 = max(region[0], left), max(region[1], top)
    x1, y1 = min(region[2], left + columns), min(region[3], top + rows)
    if x0 >= x1 or y0 >= y1:
        return
    method = cv2.INTER_AREA if columns < pixels.shape[1] else cv2.INTER_LINEAR
    drawn = cv2.resize(pixels, size_wh, interpolation=method)
    canvas[y0:y1, x0:x1] = drawn[y0 - top : y1 - top, x0 - left : x1 - left]


def _finished(canvas: Bytes, boxes: Floats, labels: Ints, rng: Rng) -> Sample:
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
        boxes = boxes[:, [2, 1, 0, 3]].copy()
        boxes[:, [0, 2]] = canvas.shape[1] - boxes[:, [0, 2]]
    if rng.random() < 0.8:
        canvas = recoloured(canvas, rng)
    if rng.random() < 0.1:
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.4, 1.2))).astype(np.uint8)
    return np.ascontiguousarray(canvas), boxes, labels
