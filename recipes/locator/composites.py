"""Goods composed on photos, drawn backgrounds and studio backgrounds; and in rows on a shelf."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from recipes.locator.draft import Draft, LabelledBox, random_frame
from recipes.locator.goods import Good, turned
from recipes.locator.settings import SceneSettings
from recipes.locator.stock import Stock
from recipes.locator.street import SHOE, around, cut_part, with_pairs
from satchel.adapt.compose import backgrounds
from satchel.adapt.compose.drawing import Rng, draw, with_shadow
from satchel.adapt.compose.hand import Hand
from satchel.arrays import Bytes, Doubles
from satchel.locate.card import CATEGORIES
from satchel.train.locator.figures import Boxes

EYEWEAR: Final = CATEGORIES.index("eyewear")

LEAN: Final = 0.35
STUDIO_LEAN: Final = 0.1
"""Strength of shear and perspective."""

FITS: Final = 0.98
MOST_SIDES: Final = 1.6
"""A good's side is so many times the frame's, at most."""

COVERED: Final = 0.4
"""A good that the main one covers by more has no box."""

PAIR_SIZE: Final = 0.4
"""Pairs of shoes are smaller than this share of the frame."""

MOST_BEHIND: Final = 5
BEHIND_SIZE: Final = (0.2, 0.8)
"""Longer side of the goods behind the main one, as a share of its."""

SHELF_ROWS: Final = (1, 4)
SHELF_COLUMNS: Final = (2, 6)
SHELF_FILL: Final = (0.6, 1.1)
"""Side of a good on a shelf, as a share of its place's."""


def composite(stock: Stock, settings: SceneSettings, rng: Rng, *, studio: bool) -> Draft:
    """One main good on a background; not in a studio also others, a hand, what it stands on."""
    size_wh = random_frame(settings.side_px, rng)
    canvas, boxes = _studio(size_wh, rng) if studio else _background(stock, settings, size_wh, rng)
    good = turned(stock.draw(rng), _angle(rng), STUDIO_LEAN if studio else LEAN, rng)
    good, share = _placed(good, size_wh, settings, rng, studio=studio)
    goods = [good]
    if good.sprite.label == SHOE and share < PAIR_SIZE and rng.random() < settings.pairs:
        goods.insert(0, _second_of_a_pair(good, rng))
    main = around([one.box for one in goods])
    hand: Hand | None = None
    if not studio:
        if rng.random() < settings.crowded:
            boxes += _draw_others(canvas, stock, (main[2:] - main[:2]).max(), rng)
        if rng.random() < settings.hands:
            hand = Hand.sample(good.placed, rng)
            hand.draw_arm(canvas, np.eye(3))
        lies = settings.cases if good.sprite.label == EYEWEAR else settings.stands
        if rng.random() < lies:
            _draw_stand(canvas, main, rng)
    _draw_goods(canvas, goods, rng, shadow=rng.random() < settings.shadows)
    if hand:
        hand.draw_fingers(canvas, np.eye(3))
    seen = [(box, label) for box, label in boxes if _covered(box, main) <= COVERED]
    return Draft(canvas, [(main, good.sprite.label), *seen], 0)


def shelf_of_goods(stock: Stock, settings: SceneSettings, rng: Rng) -> Draft:
    """Goods of one class in rows; the main one is the most central large one."""
    width, height = size_wh = random_frame(settings.side_px, rng)
    canvas, _ = _background(stock, settings, size_wh, rng)
    first = stock.draw(rng)
    rows, columns = int(rng.integers(*SHELF_ROWS)), int(rng.integers(*SHELF_COLUMNS))
    place = np.array([width / columns, height / rows])
    boxes: list[LabelledBox] = []
    same = rng.random() < 0.5
    for row in range(rows):
        for column in range(columns):
            sprite = first if same else stock.draw_like(first, rng)
            good = turned(sprite, float(rng.normal(0, 6)), STUDIO_LEAN, rng)
            own = good.box[2:] - good.box[:2]
            size = own * (place / own).min() * rng.uniform(*SHELF_FILL)
            centre = place * (np.array([column, row]) + rng.uniform(0.4, 0.6, 2))
            good = good.fitted(np.concatenate([centre - size / 2, centre + size / 2]))
            _draw_goods(canvas, [good], rng, shadow=rng.random() < settings.shadows)
            boxes.append((good.box, sprite.label))
    fractions = np.array([box for box, _ in boxes]) / np.array([width, height] * 2)
    main = Boxes.true(fractions, np.array([label for _, label in boxes])).main_place()
    return Draft(canvas, boxes, main or 0)


def _studio(size_wh: tuple[int, int], rng: Rng) -> tuple[Bytes, list[LabelledBox]]:
    width, height = size_wh
    way = rng.random()
    if way < 0.6:
        canvas = backgrounds.studio(max(size_wh), rng)[:height, :width]
    elif way < 0.8:
        canvas = np.full((height, width, 3), rng.integers(0, 60), np.uint8)
    else:
        canvas = np.full((height, width, 3), rng.uniform(94, 192, 3).astype(np.uint8), np.uint8)
    return np.ascontiguousarray(canvas), []


def _background(
    stock: Stock, settings: SceneSettings, size_wh: tuple[int, int], rng: Rng
) -> tuple[Bytes, list[LabelledBox]]:
    """A part of a street photo with its goods, or a drawn surface, now and then two."""
    width, height = size_wh
    if stock.photos and rng.random() < 0.5:
        photo = stock.photo(rng)
        pixels = photo.read()
        whole = np.array(pixels.shape[1::-1], float)
        part = np.array(size_wh) * rng.uniform(0.4, 1) * whole[0] / width
        part *= min(1.0, whole[1] / part[1])
        corner = rng.uniform(0, 1, 2) * (whole - part)
        photo = with_pairs(photo, least_area=settings.pair_size * part.prod())
        canvas, boxes = cut_part(pixels, photo.boxes, corner, part, size_wh)
        return canvas, list(zip(boxes, photo.labels.tolist(), strict=True))
    canvas = np.ascontiguousarray(backgrounds.drawn(settings.side_px, rng)[:height, :width])
    if rng.random() < 0.3:  # the edge of a table, a wall
        edge = int(rng.uniform(0.2, 0.8) * height)
        canvas[:edge] = backgrounds.drawn(settings.side_px, rng)[:edge, :width]
    return canvas, []


def _angle(rng: Rng) -> float:
    """Degrees by which a good is turned: mostly a little."""
    return float(rng.uniform(-180, 180) if rng.random() < 0.25 else rng.normal(0, 15))


def _placed(
    good: Good, size_wh: tuple[int, int], settings: SceneSettings, rng: Rng, *, studio: bool
) -> tuple[Good, float]:
    """The main good at its size and place; and its box's share of the frame, as it was drawn."""
    frame = np.array(size_wh, float)
    large = not studio and rng.random() < settings.large
    if studio:
        share = rng.uniform(*settings.studio_size)
    elif large:
        share = rng.uniform(*settings.large_size)
    else:
        share = np.exp(rng.uniform(*np.log(settings.main_size)))
    own = good.box[2:] - good.box[:2]
    beyond = (large and rng.random() < 0.6) or rng.random() < 0.1
    most = MOST_SIDES if beyond and not studio else FITS
    size = own * min(np.sqrt(share * frame.prod() / own.prod()), most * (frame / own).min())
    at = 0.5 + rng.uniform(-0.1, 0.1, 2) if studio else rng.beta(2.2, 2.2, 2)
    centre = size / 2 + at * (frame - size)
    if not studio and rng.random() < settings.cut_off:
        axis, end = rng.integers(0, 2, 2)
        reach = rng.uniform(0, 0.4) * size[axis]  # beyond the edge
        centre[axis] = end * frame[axis] + (1 - 2 * end) * (size[axis] / 2 - reach)
    return good.fitted(np.concatenate([centre - size / 2, centre + size / 2])), float(share)


def _second_of_a_pair(good: Good, rng: Rng) -> Good:
    width, height = good.box[2:] - good.box[:2]
    across = width * rng.uniform(0.5, 1.1) * rng.choice([-1, 1])
    return good.shifted(float(across), float(height * rng.uniform(-0.15, 0.15)))


def _draw_others(canvas: Bytes, stock: Stock, side: float, rng: Rng) -> list[LabelledBox]:
    """Goods behind the main one, whose longer side is `side` pixels."""
    boxes = []
    for _ in range(int(rng.integers(1, MOST_BEHIND + 1))):
        good = turned(stock.draw(rng), _angle(rng), LEAN, rng)
        own = good.box[2:] - good.box[:2]
        size = own / own.max() * side * rng.uniform(*BEHIND_SIZE)
        centre = rng.uniform(0, 1, 2) * canvas.shape[1::-1]
        good = good.fitted(np.concatenate([centre - size / 2, centre + size / 2]))
        draw(canvas, good.sprite.pixels, good.matrix)
        boxes.append((good.box, good.sprite.label))
    return boxes


def _draw_stand(canvas: Bytes, main: Doubles, rng: Rng) -> None:
    """A box, case or cloth under the main good."""
    size = np.tile(main[2:] - main[:2], 2)
    x0, y0, x1, y1 = main + rng.uniform(0.05, 0.5) * size * rng.random(4) * (-1, -1, 1, 1)
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    corners += rng.normal(0, 0.06, (4, 2)) * size[:2].mean()
    cv2.fillPoly(canvas, [corners.astype(np.int32)], rng.uniform(0, 255, 3).tolist())


def _draw_goods(canvas: Bytes, goods: list[Good], rng: Rng, *, shadow: bool) -> None:
    for good in goods:
        if not shadow:
            draw(canvas, good.sprite.pixels, good.matrix)
            continue
        shaded = with_shadow(good.sprite.pixels, rng)
        grown = (shaded.shape[1] - good.sprite.pixels.shape[1]) / 2
        back = np.array([[1, 0, -grown], [0, 1, -grown], [0, 0, 1.0]])
        draw(canvas, shaded, good.matrix @ back)


def _covered(box: Doubles, main: Doubles) -> float:
    """Share of a box that the main one covers."""
    sides = np.minimum(box[2:], main[2:]) - np.maximum(box[:2], main[:2])
    return float(np.maximum(sides, 0).prod() / (box[2:] - box[:2]).prod())
