"""Street photos with boxes: read from a COCO file, and cut to a part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from recipes.locator.goods import Sprite, cut_out, trimmed
from satchel.arrays import Doubles, Ints
from satchel.images import RGB, decode
from satchel.locate.card import CATEGORIES
from satchel.records import Box

SHOE: Final = CATEGORIES.index("shoe")
PAIR_GAP: Final = (0.9, 0.5)
"""Gap between two shoes of a pair at most, across and down, as shares of the longest side."""

LEAST_SPRITE_PX: Final = 36
"""Least shorter side of a box that is cut out."""

MARGIN: Final = 0.25
"""Of the part around a box that GrabCut sees, as a share of the box's longer side."""

ENLARGED: Final = 2
"""Photos are small: outlines are smoother if they are enlarged first."""

LEAST_COVER: Final = 0.55
"""Least share of its box that the rectangle around a good has."""

LEAST_FILL: Final = 0.35
"""Least share of that rectangle that it fills."""


@dataclass(frozen=True, slots=True)
class StreetPhoto:
    """A photo with goods.

    Attributes:
        boxes: shape (n, 4), xyxy in pixels.
        labels: shape (n,), int64: places in `CATEGORIES`.
    """

    path: Path
    boxes: Doubles
    labels: Ints

    def read(self) -> RGB:
        """Its pixels."""
        return decode(self.path.read_bytes())


def street_photos(annotations: Path, images: Path) -> list[StreetPhoto]:
    """The photos of a COCO file whose classes are of `CATEGORIES`; other boxes are left out."""
    data: dict[str, Any] = json.loads(annotations.read_bytes())
    labels = {
        kind["id"]: CATEGORIES.index(kind["name"])
        for kind in data["categories"]
        if kind["name"] in CATEGORIES
    }
    own: dict[int, list[tuple[float, ...]]] = {photo["id"]: [] for photo in data["images"]}
    for box in data["annotations"]:
        if box["category_id"] in labels:
            x, y, width, height = box["bbox"]
            own[box["image_id"]].append((x, y, x + width, y + height, labels[box["category_id"]]))
    photos = []
    for photo in data["images"]:
        rows = np.array(own[photo["id"]], float).reshape(-1, 5)
        photos.append(
            StreetPhoto(images / photo["file_name"], rows[:, :4], rows[:, 4].astype(np.int64))
        )
    return photos


def with_pairs(photo: StreetPhoto, *, least_area: float = 0.0) -> StreetPhoto:
    """Both shoes of a pair become one box, as sellers show them.

    Args:
        least_area: of the common box, in pixels; shoes of smaller pairs keep their own.
    """
    pairs: list[list[Doubles]] = []
    for shoe in photo.boxes[photo.labels == SHOE]:
        joined = [shoe]
        while near := [pair for pair in pairs if _is_pair(around(joined), around(pair))]:
            pairs = [pair for pair in pairs if not any(pair is other for other in near)]
            joined += [one for pair in near for one in pair]
        pairs.append(joined)
    shoes: list[Doubles] = []
    for pair in pairs:
        common = around(pair)
        shoes += [common] if (common[2:] - common[:2]).prod() >= least_area else pair
    rest = photo.labels != SHOE
    boxes = np.concatenate([photo.boxes[rest], np.array(shoes).reshape(-1, 4)])
    labels = np.concatenate([photo.labels[rest], np.full(len(shoes), SHOE)])
    return replace(photo, boxes=boxes, labels=labels)


def around(boxes: Sequence[Doubles]) -> Doubles:
    """The box around boxes."""
    both = np.stack(boxes)
    return np.concatenate([both[:, :2].min(0), both[:, 2:].max(0)])


def _is_pair(one: Doubles, other: Doubles) -> bool:
    longest = max(one[2] - one[0], other[2] - other[0], one[3] - one[1], other[3] - other[1])
    gaps = np.maximum(one[:2], other[:2]) - np.minimum(one[2:], other[2:])
    return bool((gaps < np.array(PAIR_GAP) * longest).all())


def street_sprites(photos: list[StreetPhoto]) -> list[Sprite]:
    """Goods cut out of photos by their boxes, where that looks right."""
    found = []
    for photo in photos:
        large = (photo.boxes[:, 2:] - photo.boxes[:, :2]).min(1, initial=np.inf) >= LEAST_SPRITE_PX
        pixels = photo.read() if large.any() else None
        for box, label in zip(photo.boxes[large], photo.labels[large], strict=True):
            assert pixels is not None
            if sprite := _sprite(pixels, box, CATEGORIES[label]):
                found.append(sprite)
    return found


def _sprite(pixels: RGB, box: Doubles, category: str) -> Sprite | None:
    reach = MARGIN * (box[2:] - box[:2]).max()
    x0, y0 = (int(side) for side in np.maximum(0, box[:2] - reach))
    x1, y1 = (int(side) for side in np.minimum(pixels.shape[1::-1], box[2:] + reach))
    part = cv2.resize(
        pixels[y0:y1, x0:x1], None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC
    ).astype(np.uint8, copy=False)
    inner = (box - np.array([x0, y0] * 2)) / np.array([x1 - x0, y1 - y0] * 2)
    left, top, right, bottom = np.clip(inner, 0, 1).tolist()
    cut = cut_out(np.ascontiguousarray(part), Box(left, top, right, bottom))
    good = None if cut is None else trimmed(cut, least=800)
    if good is None:
        return None
    area = ENLARGED**2 * np.prod(box[2:] - box[:2])
    cover, fill = good[..., 0].size / area, (good[..., 3] > 127).mean()
    return Sprite.of(good, category) if cover >= LEAST_COVER and fill >= LEAST_FILL else None


def cut_part(
    pixels: RGB, boxes: Doubles, corner: Doubles, size: Doubles, size_wh: tuple[int, int]
) -> tuple[RGB, Doubles]:
    """A part of a photo, resized, with its boxes, which may reach beyond it.

    Args:
        corner: left and top of the part, in pixels.
        size: its width and height, in pixels; what lies beyond the photo is mirrored.
        size_wh: of the result.
    """
    x0, y0 = (int(side) for side in np.floor(corner))
    x1, y1 = (int(side) for side in np.floor(corner + size))
    height, width = pixels.shape[:2]
    part = pixels[max(0, y0) : y1, max(0, x0) : x1]
    beyond = max(0, -y0), max(0, y1 - height), max(0, -x0), max(0, x1 - width)
    if any(beyond):
        part = cv2.copyMakeBorder(part, *beyond, cv2.BORDER_REFLECT_101).astype(np.uint8)
    method = cv2.INTER_AREA if size_wh[0] < x1 - x0 else cv2.INTER_LINEAR
    resized = cv2.resize(part, size_wh, interpolation=method).astype(np.uint8, copy=False)
    scale = np.array(size_wh) / (x1 - x0, y1 - y0)
    return np.ascontiguousarray(resized), (boxes - np.array([x0, y0] * 2)) * np.tile(scale, 2)
