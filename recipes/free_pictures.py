"""Free images that the light encoder is adapted to, from no data set that it is measured on.

Products in the sense of `satchel adapt`: one image each of some three thousand things.

- Fluent Emoji, three-dimensional: npm package `@lobehub/fluent-emoji-3d` 1.1.0 (MIT; drawn by
  Microsoft, MIT). Pictures of things on a transparent ground, many of them near twins: clocks,
  flags, keys, faces. Those that differ by the tone of a skin alone are left out.
- Street photos with boxes of bags, shoes, hats and glasses, in COCO's format (Apache-2.0): each
  box is a product with a real ground, and so is each person in their clothes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from satchel.encode.embed import PhotoEncoder, embed
from satchel.errors import UsageError
from satchel.images import RGB, decode, encode_jpeg
from satchel.records import WHOLE_PHOTO, Box
from satchel.train.batches import TrainingPhotos

SKIN_TONES: Final = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")
"""Code points in an emoji's file name that mark another skin tone."""

STREET_KINDS: Final = frozenset({"bag", "shoe", "hat", "eyewear", "watch"})
LEAST_BOX_PX: Final = 44
"""Least shorter side of a box: smaller ones show too little."""

MARGIN: Final = 0.15
"""Margin around a box on each side, as a share of it."""


@dataclass(frozen=True, slots=True)
class FreePicture:
    """One image of one thing.

    Attributes:
        path: of the file.
        within: crop of the file's image.
        box: of the thing in the crop; None where it is still to be located.
    """

    path: Path
    within: Box = WHOLE_PHOTO
    box: Box | None = WHOLE_PHOTO

    def read(self) -> bytes:
        """The image as a file's bytes."""
        data = self.path.read_bytes()
        if self.within == WHOLE_PHOTO:
            return data
        return encode_jpeg(_part(decode(data), self.within), 95)


def emoji(folder: Path) -> list[FreePicture]:
    """The emoji of a folder of WebP files, in the order of their names.

    Raises:
        UsageError: there are none.
    """
    files = sorted(folder.glob("*.webp"))
    plain = [path for path in files if not any(tone in path.stem for tone in SKIN_TONES)]
    if not plain:
        raise UsageError(f"expected WebP files in {folder}, the assets of @lobehub/fluent-emoji-3d")
    return [FreePicture(path) for path in plain]


def street(annotations: Path, images: Path) -> list[FreePicture]:
    """Crops of worn and carried items, by box, then of the people, by photo.

    Args:
        annotations: a COCO file; boxes in pixels.
        images: folder of the photos that it names.
    """
    data: dict[str, Any] = json.loads(annotations.read_text())
    kinds = {kind["id"]: kind["name"] for kind in data["categories"]}
    photos = {photo["id"]: photo for photo in data["images"]}
    found = []
    for box in data["annotations"]:
        x, y, width, height = box["bbox"]
        if kinds[box["category_id"]] in STREET_KINDS and min(width, height) >= LEAST_BOX_PX:
            photo = photos[box["image_id"]]
            size = np.array([photo["width"], photo["height"]] * 2, float)
            shown = np.array([x, y, x + width, y + height]) / size
            grow = MARGIN * np.array([-width, -height, width, height]) / size
            outer = np.clip(shown + grow, 0, 1)
            span = np.tile(outer[2:] - outer[:2], 2)
            inner = np.clip((shown - np.tile(outer[:2], 2)) / span, 0, 1)
            found.append(
                FreePicture(images / photo["file_name"], Box(*outer.tolist()), Box(*inner.tolist()))
            )
    people = [FreePicture(images / photo["file_name"], box=None) for photo in data["images"]]
    return found + people


def training_photos(pictures: list[FreePicture], encoder: PhotoEncoder) -> TrainingPhotos:
    """Number the images: each is a separate product.

    Args:
        encoder: of the start; finds the thing where its box is not known.
    """
    boxes = tuple(
        picture.box or embed(encoder, [decode(picture.read())])[0].box for picture in pictures
    )
    return TrainingPhotos(
        names=tuple(str(at) for at in range(len(pictures))),
        labels=np.arange(len(pictures)),
        boxes=boxes,
        read=lambda name: pictures[int(name)].read(),
    )


def _part(pixels: RGB, box: Box) -> RGB:
    height, width = pixels.shape[:2]
    x0, x1 = round(box.x0 * width), round(box.x1 * width)
    y0, y1 = round(box.y0 * height), round(box.y1 * height)
    return np.ascontiguousarray(pixels[y0:y1, x0:x1])
