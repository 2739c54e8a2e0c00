"""People cut out of street photos: garments, and what stands between a camera and its goods."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from recipes.locator.goods import Sprite, cut_out, trimmed
from recipes.locator.street import StreetPhoto
from satchel.locate.card import LocatorCard
from satchel.locate.locator import Locator, main_detection
from satchel.locate.onnx import OnnxLocator
from satchel.train.locator.weights import COCO_CLASSES

INPUT_PX: Final = 416
LEAST_SCORE: Final = 0.5
LEAST_HEIGHT: Final = 0.5
"""Of a person, as a share of the photo's height."""

PARTS: Final = ((0.12, 0.55), (0.45, 1.0), (0.1, 1.0))
"""Parts of a person's height that become goods: above, below, all but the head."""

LEAST_PX: Final = 600
EVERY: Final = 2
"""One of so many photos is used: they show people enough."""


def person_locator(weights: Path) -> OnnxLocator:
    """YOLOX-nano, of which only people count.

    Args:
        weights: its ONNX file, trained on COCO.
    """
    model = weights.read_bytes()
    card = LocatorCard(
        name="yolox-nano",
        file="yolox_nano.onnx",
        sha256=hashlib.sha256(model).hexdigest(),
        layout="yolox",
        height_px=INPUT_PX,
        width_px=INPUT_PX,
        colour_order="bgr",
        class_names=COCO_CLASSES,
        categories={"person": "person"},
        score=LEAST_SCORE,
    )
    return OnnxLocator(card, model)


def people_sprites(photos: Sequence[StreetPhoto], locator: Locator) -> list[Sprite]:
    """The clothes of one person in each photo, where GrabCut finds a whole one."""
    found = []
    for photo in photos[::EVERY]:
        pixels = photo.read()
        person = main_detection(locator.locate([pixels])[0])
        if person is None or person.box.height < LEAST_HEIGHT:
            continue
        cut = cut_out(pixels, person.box)
        whole = None if cut is None else trimmed(cut, LEAST_PX)
        if whole is None:
            continue
        height = len(whole)
        for low, high in PARTS:
            part = trimmed(whole[int(low * height) : int(high * height)], LEAST_PX)
            sprite = None if part is None else Sprite.of(np.ascontiguousarray(part), "garment")
            if sprite:
                found.append(sprite)
    return found
