"""Scenes to train a detector on: photos composed on demand, with the boxes of their goods.

A scene is a pure function of the seed and its number. Four kinds: street photos cut around one
good, whole street photos, goods composed on photos and drawn backgrounds, and goods in rows on a
shelf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from recipes.locator.composites import composite, shelf_of_goods
from recipes.locator.draft import Draft, random_frame
from recipes.locator.settings import SceneSettings
from recipes.locator.stock import Stock
from recipes.locator.street import StreetPhoto, cut_part, with_pairs
from satchel.adapt.compose.camera import Camera
from satchel.adapt.compose.drawing import Rng
from satchel.adapt.settings import SynthSettings
from satchel.locate.card import CATEGORIES
from satchel.train.locator.augment import blank
from satchel.train.locator.figures import Boxes
from satchel.train.locator.samples import Sample

DEFAULTS: Final = SceneSettings()
BELT: Final = CATEGORIES.index("belt")
BELT_SHARE: Final = 0.3
"""Street photos have many belts, of which little shows: so many of them are zoomed on."""

LEAST_GOOD_PX: Final = (9, 16)
"""Least shorter and longer side of a good that is zoomed on, in pixels of the street photo."""

MOST_ENLARGED: Final = 7.0
LOOSE: Final = 1.02
"""A good is zoomed on with so much around it, at least."""

TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Scenes:
    """Composed samples; see `satchel.train.locator.samples.Samples`."""

    stock: Stock
    count: int
    seed: int
    settings: SceneSettings = DEFAULTS
    main_first: bool = True
    _camera: Camera = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        synth = SynthSettings(degradation=self.settings.degradation)
        object.__setattr__(self, "_camera", Camera(synth, self.settings.side_px))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.count:
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, index])
        draft = _draft(self.stock, self.settings, rng)
        if rng.random() < 0.5:
            draft = draft.mirrored()
        height, width = draft.canvas.shape[:2]
        square = blank(self.settings.side_px)  # what a camera's noise has
        square[:height, :width] = draft.canvas
        shot = self._camera.shoot(square, rng)[:height, :width]
        boxes, labels = draft.visible()
        return np.ascontiguousarray(shot), boxes, labels


def _draft(stock: Stock, settings: SceneSettings, rng: Rng) -> Draft:
    kinds = np.array([settings.zoomed, settings.whole, settings.shelves, settings.studio])
    kind = int((rng.random() >= kinds.cumsum()).sum())
    if kind == 0 and (draft := zoomed(stock.photos, settings, rng)):
        return draft
    if kind == 1 and (draft := whole(stock.photos, settings, rng)):
        return draft
    if kind == 2:
        return shelf_of_goods(stock, settings, rng)
    return composite(stock, settings, rng, studio=kind == 3)


def whole(photos: Sequence[StreetPhoto], settings: SceneSettings, rng: Rng) -> Draft | None:
    """A street photo as it is; None where none was found that shows a good."""
    for _ in range(TRIES if len(photos) else 0):
        photo = photos[int(rng.integers(len(photos)))]
        if not len(photo.boxes):
            continue
        pixels = photo.read()
        size = np.array(pixels.shape[1::-1], float)
        photo = with_pairs(photo, least_area=settings.pair_size * size.prod())
        width, height = np.round(size * settings.side_px / size.max()).astype(int).tolist()
        canvas, boxes = cut_part(pixels, photo.boxes, np.zeros(2), size, (width, height))
        main = Boxes.true(photo.boxes / np.tile(size, 2), photo.labels).main_place()
        return Draft(canvas, list(zip(boxes, photo.labels.tolist(), strict=True)), main or 0)
    return None


def zoomed(photos: Sequence[StreetPhoto], settings: SceneSettings, rng: Rng) -> Draft | None:
    """A part of a street photo around one good; None where none was found that is fit."""
    size_wh = random_frame(settings.side_px, rng)
    frame = np.array(size_wh, float)
    for _ in range(TRIES if len(photos) else 0):
        single = photos[int(rng.integers(len(photos)))]
        if not len(single.boxes):
            continue
        photo = with_pairs(single)
        main = int(rng.integers(len(photo.boxes)))
        if photo.labels[main] == BELT and rng.random() >= BELT_SHARE:
            continue
        box = photo.boxes[main]
        own = box[2:] - box[:2]
        if own.min() < LEAST_GOOD_PX[0] or own.max() < LEAST_GOOD_PX[1]:
            continue
        share = np.exp(rng.uniform(*np.log(settings.zoomed_size)))
        pixels = photo.read()
        whole = np.array(pixels.shape[1::-1], float)
        scale = max(np.sqrt(own.prod() / share / frame.prod()), (LOOSE * own / frame).max())
        part = frame * min(scale, LOOSE * (whole / frame).min())
        if frame[0] > MOST_ENLARGED * part[0]:
            continue
        corner = box[:2] - rng.beta(2, 2, 2) * np.maximum(0, part - own)
        corner = np.minimum(np.maximum(corner, 0), whole - part)
        shown = with_pairs(single, least_area=settings.pair_size * part.prod())
        main = int(np.abs(shown.boxes - box).sum(1).argmin())
        canvas, boxes = cut_part(pixels, shown.boxes, corner, part, size_wh)
        return Draft(canvas, list(zip(boxes, shown.labels.tolist(), strict=True)), main)
    return None
