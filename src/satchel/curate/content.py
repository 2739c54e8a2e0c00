"""What a photo shows besides its product, or instead of it: faces, a watermark, several objects.

`look` takes the figures of one photo. A watermark across the product itself cannot be told from a
print on the product by one photo; a shop that stamps the same mark in the same place on its photos
gives it away: `find_mark` sees what a shop's photos have in common, `carries` how much of it one
photo has. All of this only ever makes a photo doubtful. What was measured, what was rejected, and
the thresholds: docs/decisions/0009-content.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from satchel.curate.rules import ContentThresholds
from satchel.images import RGB
from satchel.onnx_model import ModelCard, load_card, open_session, read_model

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Gradients = npt.NDArray[np.int16]

CENTERFACE: Final = Path(__file__).parent / "models" / "centerface.json"

FACE_SIDE_PX: Final = 160
"""Longer side of the copy that faces are looked for in: a face that matters has 40 pixels there,
and one look costs 1.7 ms. At 192 it costs 2.4 and finds no more."""

FACE_SCORE: Final = 0.5
SAME_FACE_OVERLAP: Final = 0.3
"""Intersection ÷ union from which two boxes are one face, as in CenterFace's own decoding."""

CELL_PX: Final = 4
"""Pixels between two places of CenterFace's map."""

GROUND_SIDE_PX: Final = 512
"""Longer side of the copy that letters are looked for in: those of a mark in a corner, a fifth of
the width long, still have 6 pixels there."""

OBJECT_SIDE_PX: Final = 256
RING_PX: Final = 6
GROUND_LEVELS: Final = 8
"""By how much the ground's colour may vary in any channel."""

EVEN_SHARE: Final = 0.6
"""Share of the picture's rim that is of the ground's colour on an even ground. The rest may be the
product, or the person who wears it, cut off by the picture's side."""

INK_LEVELS: Final = 16
"""Contrast between ground and anything that stands on it. Fainter letters are hardly read; the
noise that JPEG leaves around them begins at half of it."""

LETTER_PX: Final = (5, 64)
"""Longer side of a letter, in the copy of `GROUND_SIDE_PX`."""

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
"""Gap that is bridged, in the copy of `OBJECT_SIDE_PX`: a white strap on white ground."""

WITHIN: Final = 0.3
"""Share of an object's box that may lie within the box of a larger one."""

ALIKE_LEVELS: Final = 40.0
ALIKE_SIZE: Final = 0.5
"""Two objects whose mean colours differ by at most so many levels in each channel, and whose sizes
have at least this ratio, are a pair: shoes, gloves, earrings."""

MARK_SIDE_PX: Final = 320
MARK_PHOTOS: Final = 24
"""Photos that a shop's mark is looked for in, at least. Of 12, even mixed ones, some edges agree by
chance."""

MOST_MARK_PHOTOS: Final = 64
"""Photos that are looked at, at most: their gradients take 26 MB."""

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


class Shown(StrEnum):
    """What a photo shows besides its product, as a reason to doubt it."""

    FACES = "faces"
    WATERMARK = "watermark"
    SEVERAL_OBJECTS = "several_objects"


# -- faces -------------------------------------------------------------------------------------


class FaceCard(ModelCard):
    """The card of the face detector."""

    changes: str = Field(description="how the file differs from its source")


class FaceFinder:
    """CenterFace in one ONNX session, which several threads may call at once.

    Xu et al., "CenterFace: Joint face detection and alignment using face as point", Scientific
    Programming, 2020.
    """

    def __init__(self, model: bytes, *, threads: int) -> None:
        self._session = open_session(model, "the face detector", threads=threads)

    @classmethod
    def load(cls, card_path: Path = CENTERFACE, *, threads: int = 1) -> FaceFinder:
        """Load the model that a card names.

        Raises:
            EncoderError: card or model are missing or altered.
        """
        model = read_model(load_card(card_path, FaceCard), card_path.parent)
        return cls(model, threads=threads)

    def find(self, pixels: RGB) -> Floats:
        """Find faces, wherever they look to.

        Args:
            pixels: shape (h, w, 3), uint8, RGB.

        Returns:
            boxes, shape (n, 4), float32: x0, y0, x1, y1 as shares of width and height, in [0, 1];
            the surest first.
        """
        height, width = _scaled(pixels.shape, FACE_SIDE_PX)
        square = np.zeros((1, FACE_SIDE_PX, FACE_SIDE_PX, 3), np.uint8)
        square[0, :height, :width] = _resized(pixels, (height, width))
        heat, log_size = self._session.run(["heat", "log_size"], {"pixels": square})
        boxes_px = _peaks(heat[0, 0], log_size[0])
        size = np.array([width, height, width, height], np.float32)
        boxes: Floats = np.clip(boxes_px / size, 0, 1).astype(np.float32)
        return boxes


def _peaks(heat: Floats, log_size: Floats) -> Floats:
    """Boxes in pixels around the peaks of a map, less those that overlap a surer one; (n, 4).

    Args:
        heat: shape (h, w), in [0, 1]: where faces have their middle.
        log_size: shape (2, h, w): log of a face's height and width, in cells.
    """
    peak = (heat >= FACE_SCORE) & (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peak)
    order = np.argsort(-heat[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    half_h, half_w = np.exp(log_size[:, rows, columns]) / 2
    y, x = rows + 0.5, columns + 0.5
    boxes = CELL_PX * np.stack([x - half_w, y - half_h, x + half_w, y + half_h], axis=1)
    kept: list[int] = []
    for row in range(len(boxes)):
        if all(_overlap(boxes[row], boxes[other]) < SAME_FACE_OVERLAP for other in kept):
            kept.append(row)
    found: Floats = boxes[kept].astype(np.float32)
    return found


def _overlap(a: Floats, b: Floats) -> float:
    """Intersection ÷ union of two boxes x0, y0, x1, y1."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


# -- one photo ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContentFigures:
    """What one photo shows besides its product.

    Attributes:
        faces: share of the picture in boxes around faces, in [0, 1].
        watermark: evidence of text on the even ground beside the product, in [0, 1]: letters in
            lines ÷ `SURE_LETTERS`. 0 where the ground is not even: nothing can be told there.
        objects: separate objects of comparable size on even ground, ≥ 1; two alike are one pair.
            1 where the ground is not even.
    """

    faces: float
    watermark: float
    objects: int


def look(pixels: RGB, faces: FaceFinder) -> ContentFigures:
    """Look at what a photo shows.

    Args:
        pixels: shape (h, w, 3), uint8, RGB, upright, as decoded at any scale.
        faces: finds the faces.
    """
    x0, y0, x1, y1 = faces.find(pixels).T
    share = min(1.0, float(((x1 - x0) * (y1 - y0)).sum()))
    copy = _resized(pixels, _scaled(pixels.shape, GROUND_SIDE_PX))
    ground = _ground(copy)
    if ground is None:
        return ContentFigures(faces=share, watermark=0.0, objects=1)
    contrast = _contrast(copy, ground)
    return ContentFigures(
        faces=share,
        watermark=min(1.0, _letters(contrast) / SURE_LETTERS),
        objects=_objects(copy, contrast),
    )


def shown(
    content: Mapping[str, float], limits: ContentThresholds
) -> list[tuple[Shown, float, float]]:
    """Return what makes a photo doubtful: reason, figure and threshold.

    Args:
        content: the fields of `ContentFigures`, and `mark` where a shop's mark was looked for.
    """
    mark = content.get("mark", 0.0)
    held = (
        (Shown.FACES, content["faces"], limits.faces),
        (Shown.WATERMARK, content["watermark"], limits.watermark),
        (Shown.WATERMARK, mark, limits.mark),
        (Shown.SEVERAL_OBJECTS, content["objects"], limits.objects),
    )
    found = [(kind, figure, limit) for kind, figure, limit in held if figure >= limit and figure]
    return [row for at, row in enumerate(found) if row[0] not in {k for k, *_ in found[:at]}]


def _scaled(shape: tuple[int, ...], side_px: int) -> tuple[int, int]:
    """Height and width of a copy whose longer side is `side_px`; at least 16 pixels each."""
    scale = side_px / max(shape[:2])
    return max(16, round(shape[0] * scale)), max(16, round(shape[1] * scale))


def _resized(pixels: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    smaller = size_hw[0] * size_hw[1] < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(pixels, size_hw[::-1], interpolation=method).astype(np.uint8, copy=False)


def _ground(copy: RGB) -> npt.NDArray[np.float64] | None:
    """Colour of an even ground, shape (3,), levels; None where the ground is not even.

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
    even = (np.abs(ring - colour) <= GROUND_LEVELS).all(1).mean()
    return colour if even >= EVEN_SHARE else None


def _contrast(copy: RGB, ground: npt.NDArray[np.float64]) -> Grey:
    """How far each pixel is from the ground, in the channel that differs most; levels."""
    even = np.broadcast_to(ground.round().astype(np.uint8), copy.shape)
    red, green, blue = cv2.split(cv2.absdiff(copy, even))
    return cv2.max(cv2.max(red, green), blue).astype(np.uint8, copy=False)


def _letters(contrast: Grey) -> int:
    """Letters that stand in straight lines on the ground, outside of every object's hull."""
    ink = (contrast > INK_LEVELS).view(np.uint8)
    _, labels, stats, centres = cv2.connectedComponentsWithStats(ink, connectivity=8)
    width, height = stats[:, 2], stats[:, 3]
    side = np.maximum(width, height)
    letter = (side >= LETTER_PX[0]) & (side <= LETTER_PX[1]) & (np.minimum(width, height) >= 2)
    letter[0] = False  # the ground
    x, y = centres.round().astype(np.intp).T
    letter &= _objects_hulls(ink)[y, x] == 0
    if letter.sum() < LETTERS:
        return 0
    gap = np.ones((LETTER_GAP_PX, LETTER_GAP_PX), np.uint8)
    near = cv2.dilate(letter[labels].view(np.uint8), gap)
    line = cv2.connectedComponents(near)[1][y, x]
    size = np.sqrt(width * height)
    rows = np.flatnonzero(letter & (line > 0))  # the middle of a large O is ground
    lines = [rows[line[rows] == number] for number in np.unique(line[rows])]
    return sum(_in_line(centres[members], size[members]) for members in lines)


def _objects_hulls(ink: Grey) -> Grey:
    """1 inside the hulls of what is too large for a letter, 0 elsewhere.

    What is printed on a white carton stands on the ground's colour, too.
    """
    hulls = np.zeros_like(ink)
    outlines = cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    for outline in outlines:
        if max(cv2.boundingRect(outline)[2:]) > LETTER_PX[1]:
            cv2.fillConvexPoly(hulls, cv2.convexHull(outline), 1)
    return hulls


def _in_line(centres: npt.NDArray[np.float64], size: npt.NDArray[np.float64]) -> int:
    """Neighbours that are alike in size, if they are enough and their middles lie on a line.

    Args:
        centres: shape (n, 2), pixels.
        size: shape (n,), pixels.
    """
    middle = np.median(size)
    alike = (size > middle / 2) & (size < middle * 2)
    if alike.sum() < LETTERS:
        return 0
    offsets = centres[alike] - centres[alike].mean(0)
    spread = np.linalg.svd(offsets, compute_uv=False) / np.sqrt(len(offsets))
    return int(alike.sum()) if spread[1] < 0.6 * middle else 0


def _objects(copy: RGB, contrast: Grey) -> int:
    """Separate objects of comparable size; two alike count as one."""
    size_hw = _scaled(contrast.shape, OBJECT_SIDE_PX)
    small, colours = _resized(contrast, size_hw), _resized(copy, size_hw)
    off = (small > INK_LEVELS).view(np.uint8)
    clean = cv2.morphologyEx(off, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    joined = cv2.morphologyEx(clean, cv2.MORPH_CLOSE, np.ones((JOIN_PX, JOIN_PX), np.uint8))
    _, labels, components, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    stats = components.astype(np.intp)
    area = stats[:, 4]
    area[0] = 0  # the ground
    large = np.flatnonzero(area >= max(PART * small.size, COMPARABLE * area.max()))
    apart = _apart(stats, large[np.argsort(-area[large], kind="stable")])
    if len(apart) != 2:
        return max(1, len(apart))
    first, second = (
        np.array(cv2.mean(colours, (labels == label).view(np.uint8))[:3]) for label in apart
    )
    alike = bool((np.abs(first - second) <= ALIKE_LEVELS).all())
    return 1 if alike and area[apart[1]] >= ALIKE_SIZE * area[apart[0]] else 2


def _apart(stats: npt.NDArray[np.intp], labels: npt.NDArray[np.intp]) -> list[int]:
    """Of components, largest first, those that do not stand within the box of a larger one.

    A person in white on white ground falls into parts, and so does a chain with its pendant.
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


# -- a shop's photos ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """What a shop stamps on its photos, as gradients.

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
            RGB each. Of more than `MOST_MARK_PHOTOS` the first are looked at, of fewer than
            `MARK_PHOTOS` nothing can be told.
    """
    if len(photos) < MARK_PHOTOS:
        return None
    stack = np.stack([_gradients(photo) for photo in photos[:MOST_MARK_PHOTOS]])
    common = np.median(stack, axis=0).astype(np.float32)
    at = np.flatnonzero((common**2).sum(0) >= MARK_LEVELS**2)
    same = np.mean([_has(gradients[:, at], common[:, at]) for gradients in stack], axis=0)
    at = at[same >= MARK_AGREEMENT]
    return Mark(at, common[:, at]) if len(at) >= MARK_PIXELS else None


def carries(pixels: RGB, mark: Mark) -> float:
    """Share of a mark's edges that one photo has, in [0, 1]."""
    return float(_has(_gradients(pixels)[:, mark.at], mark.gradients).mean())


def _gradients(pixels: RGB) -> Gradients:
    """Levels per pixel across and down, of a grey copy drawn to a square; (2, n), int16."""
    copy = cv2.cvtColor(_resized(pixels, (MARK_SIDE_PX, MARK_SIDE_PX)), cv2.COLOR_RGB2GRAY)
    both = [cv2.Sobel(copy, cv2.CV_16S, *order, ksize=3) for order in ((1, 0), (0, 1))]
    return (np.stack(both).reshape(2, -1) // SOBEL_SUM).astype(np.int16)


def _has(gradients: Gradients, mark: Floats) -> npt.NDArray[np.bool_]:
    """Where a photo's gradients are the mark's, within a factor of two; (n,) of (2, n) each."""
    ratio = (gradients * mark).sum(0) / (mark**2).sum(0)
    same: npt.NDArray[np.bool_] = (ratio > 0.5) & (ratio < 2)
    return same
