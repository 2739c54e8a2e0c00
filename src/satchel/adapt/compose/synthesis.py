"""Synthetic sellers' photos: a foreground of a studio photo, composed into a scene.

A synthetic photo is a pure function of (photo, seed). The scene is described first (each object as
a homography); then the view of it that the encoder would crop is rendered straight at the training
side: no large canvas is ever made. All of it is OpenCV on uint8 pixels, which runs in threads
while the network computes.
"""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np

from satchel.adapt.compose.backgrounds import Backgrounds, drawn
from satchel.adapt.compose.camera import Camera
from satchel.adapt.compose.drawing import Matrix, Placed, Rng, brightened, draw, with_shadow
from satchel.adapt.compose.foreground import RGBA, Foregrounds
from satchel.adapt.compose.hand import Hand
from satchel.adapt.settings import SynthSettings
from satchel.arrays import Bytes
from satchel.images import RGB

View = Literal["whole", "object", "part"]
VIEWS: Final[tuple[View, ...]] = ("whole", "object", "part")

# At strength 1; chosen on the development tasks of `benchmarks/adapt.py`.
SIZE: Final = (0.25, 1.1)
"""Longer side of a single product ÷ the photo's side; drawn log-uniformly."""

ROTATION_DEG: Final = 25.0
P_ANY_ROTATION: Final = 0.15
"""Share that is rotated by any angle; the others by `ROTATION_DEG` at most."""

PERSPECTIVE: Final = 0.35
"""Change of scale from one end of a product to the other, at most."""

ASPECT: Final = 4 / 3
"""Width ÷ height of the frames that were made square, or its inverse, at most."""

P_SEVERAL: Final = 0.3
"""Share with many copies of the product, on a shelf or in a heap."""

P_NEIGHBOURS: Final = 0.4
P_HELD: Final = 0.3
P_OCCLUDED: Final = 0.25
P_SHADOW: Final = 0.7

MOST_COPIES: Final = 40


class Composer:
    """Composes photos of the products of a gallery. Safe to use from several threads."""

    def __init__(
        self,
        foregrounds: Foregrounds,
        settings: SynthSettings,
        *,
        side_px: int,
        backgrounds: Backgrounds | None = None,
        p_clean: float = 0.0,
        view_weights: tuple[float, float, float] = (1.0, 1.0, 0.5),
    ) -> None:
        """Set up a composer.

        Args:
            p_clean: share that is the gallery's own photo instead, hardly changed.
            view_weights: probabilities of whole photos, of crops to the product's box, and in it.
        """
        self._foregrounds = foregrounds
        self._settings = settings
        self._side = side_px
        self._backgrounds = backgrounds
        self._p_clean = p_clean
        self._p_view = np.array(view_weights) / sum(view_weights)
        self._camera = Camera(settings, side_px)

    def compose(self, row: int, rng: Rng, *, view: View | None = None) -> RGB:
        """Compose a photo of one product.

        Args:
            row: of the product's photo among the foregrounds.
            rng: decides everything else.
            view: the whole photo, the product's box, or a part of it, as an encoder with several
                passes crops; None draws one.

        Returns:
            Shape (side, side, 3), uint8.
        """
        clutter = self._settings.clutter
        view = view or VIEWS[int(rng.choice(3, p=self._p_view))]
        if rng.random() < self._p_clean:
            return self._clean(row, view, rng)
        sprite = self._sprite(row, rng)
        several = rng.random() < P_SEVERAL * clutter
        products = self._pile(sprite, rng) if several else [self._single(sprite, rng)]
        window = self._window(products, view, several, rng)
        out = self._background(rng)
        self._add_neighbours(out, row, window, products, rng)
        held = not several and rng.random() < P_HELD * clutter
        hand = Hand.sample(products[0], rng) if held else None
        if hand:
            hand.draw_arm(out, window)
        for product in products:
            draw(out, product.sprite, window @ product.matrix)
        if hand:
            hand.draw_fingers(out, window)
        if rng.random() < P_OCCLUDED * clutter:
            self._occlude(out, row, window, products, rng)
        return self._camera.shoot(out, rng)

    # -- the products in the scene ---------------------------------------------------------------

    def _sprite(self, row: int, rng: Rng) -> RGBA:
        """The foreground, mostly with a shadow around and below it."""
        sprite = self._foregrounds.foreground(row)
        rng.random()  # formerly decided on mirroring; kept, so that a seed's photos do not change
        if rng.random() < P_SHADOW * self._settings.light:
            sprite = with_shadow(sprite, rng)
        return sprite

    def _single(self, sprite: RGBA, rng: Rng) -> Placed:
        """One product, anywhere in the frame; partly beyond it where it is large."""
        side = self._side
        size = side * float(np.exp(rng.uniform(*np.log(SIZE))))
        free = max(0.1 * side, 0.8 * (side - size))
        centre = side / 2 + rng.uniform(-0.5, 0.5, 2) * free
        rotation = self._rotation(P_ANY_ROTATION * self._settings.geometry, rng)
        aspect = self._aspect(rng)
        return self._placed(sprite, size, centre, rotation_deg=rotation, aspect=aspect, rng=rng)

    def _pile(self, sprite: RGBA, rng: Rng) -> list[Placed]:
        """Many copies: side by side as on a shelf, or in a heap; distant ones first."""
        side = self._side
        size = side * float(np.exp(rng.uniform(np.log(0.16), np.log(0.7))))
        heap = rng.random() < 0.6
        rotated = 180.0 if heap and rng.random() < 0.7 else 8.0
        height, width = sprite.shape[:2]
        longer = max(height, width)
        wide, high = size * width / longer, size * height / longer
        gap_x, gap_y = rng.uniform(0.45, 0.85, 2) if heap else (rng.uniform(0.85, 1.1), 0.9)
        if rotated > 90:  # they lie in all directions
            wide = high = (wide + high) / 2
        step_x, step_y = max(6.0, wide * gap_x), max(6.0, high * gap_y)
        span = side * rng.uniform(0.7, 1.6, 2)
        columns = int(np.clip(span[0] / step_x, 2, 9))
        rows = int(np.clip(span[1] / step_y, 1, MOST_COPIES // columns))
        middle = side / 2 + rng.uniform(-0.15, 0.15, 2) * side
        variants = [brightened(sprite, gain) for gain in rng.uniform(0.72, 1.08, 3)]
        aspect = self._aspect(rng)
        jitter = 0.25 if heap else 0.04
        products = []
        for row in range(rows):
            for column in range(columns):
                place = np.array([column - (columns - 1) / 2, row - (rows - 1) / 2])
                place[0] += 0.5 * (row % 2) * heap
                place += rng.uniform(-jitter, jitter, 2)
                centre = middle + place * (step_x, step_y)
                angle = float(rng.uniform(-rotated, rotated))
                own_size = size * float(rng.uniform(0.85, 1.1)) if heap else size
                placed = self._placed(
                    sprite, own_size, centre, rotation_deg=angle, aspect=aspect, rng=rng
                )
                products.append(Placed(variants[int(rng.integers(3))], placed.matrix))
        return products

    def _rotation(self, p_any: float, rng: Rng) -> float:
        """Degrees: mostly nearly upright, with probability `p_any` any angle."""
        if rng.random() < p_any:
            return float(rng.uniform(-180, 180))
        most_deg = ROTATION_DEG * self._settings.geometry
        return float(rng.uniform(-most_deg, most_deg))

    def _aspect(self, rng: Rng) -> float:
        """Width ÷ height that the photo's frame had before it was made square."""
        return float(np.exp(rng.uniform(-1, 1) * self._settings.geometry * np.log(ASPECT)))

    def _placed(
        self,
        sprite: RGBA,
        size_px: float,
        centre: Matrix,
        *,
        rotation_deg: float,
        aspect: float,
        rng: Rng,
    ) -> Placed:
        """Place a sprite so that its longer side has a size: rotated, in perspective, squeezed."""
        height, width = sprite.shape[:2]
        scale = size_px / max(height, width)
        to_centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
        strength = PERSPECTIVE * self._settings.geometry
        lean = strength * rng.uniform(-1, 1, 2) / max(height, width)
        shear = strength * rng.uniform(-0.5, 0.5)
        perspective = np.array([[1, shear, 0], [0, 1, 0], [lean[0], lean[1], 1.0]])
        angle = np.radians(rotation_deg)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
        squeeze = np.sqrt(aspect)
        to_scene = np.array([[squeeze, 0, centre[0]], [0, 1 / squeeze, centre[1]], [0, 0, 1.0]])
        return Placed(sprite, to_scene @ rotation @ perspective @ to_centre)

    def _window(self, products: list[Placed], view: View, several: bool, rng: Rng) -> Matrix:
        """Scene → rendered view: all of it, the box of the product, or a part of that box."""
        side = self._side
        if view == "whole":
            return np.eye(3)
        if several:  # a box in a heap is any part of it
            x0, y0, x1, y1 = 0.0, 0.0, float(side), float(side)
        else:
            x0, y0, x1, y1 = products[0].bounds_xyxy
        width, height = x1 - x0, y1 - y0
        if view == "object" and not several:
            grow = rng.uniform(-0.06, 0.3, 4)
            box = x0 - grow[0] * width, y0 - grow[1] * height
            ends = x1 + grow[2] * width, y1 + grow[3] * height
        else:
            keep = rng.uniform(0.45, 0.85, 2) if view == "part" else rng.uniform(0.6, 1.0, 2)
            at = rng.random(2) * (1 - keep)
            box = x0 + at[0] * width, y0 + at[1] * height
            ends = box[0] + keep[0] * width, box[1] + keep[1] * height
        scale_x, scale_y = side / (ends[0] - box[0]), side / (ends[1] - box[1])
        return np.array(
            [[scale_x, 0, -box[0] * scale_x], [0, scale_y, -box[1] * scale_y], [0, 0, 1]]
        )

    # -- the rest of the scene -------------------------------------------------------------------

    def _background(self, rng: Rng) -> Bytes:
        if self._backgrounds and rng.random() < self._settings.real_backgrounds:
            return np.ascontiguousarray(self._backgrounds.cut(self._side, rng))
        return np.ascontiguousarray(drawn(self._side, rng))

    def _add_neighbours(
        self, out: Bytes, row: int, window: Matrix, products: list[Placed], rng: Rng
    ) -> None:
        """Draw other products behind this one, smaller: it remains what the photo is of."""
        if rng.random() >= P_NEIGHBOURS * self._settings.clutter or len(self._foregrounds) < 2:
            return
        x0, y0, x1, y1 = products[0].bounds_xyxy
        for _ in range(int(rng.integers(1, 6))):
            sprite = self._foregrounds.foreground(self._other(row, rng))
            size = max(x1 - x0, y1 - y0) * float(rng.uniform(0.3, 0.85))
            centre = self._side * rng.uniform(0, 1, 2)
            rotation = self._rotation(0.3, rng)
            other = self._placed(sprite, size, centre, rotation_deg=rotation, aspect=1.0, rng=rng)
            draw(out, sprite, window @ other.matrix)

    def _other(self, row: int, rng: Rng) -> int:
        return int((row + rng.integers(1, len(self._foregrounds))) % len(self._foregrounds))

    def _occlude(
        self, out: Bytes, row: int, window: Matrix, products: list[Placed], rng: Rng
    ) -> None:
        """Draw something in front: another product's edge, or a bar across a side."""
        side = self._side
        angle = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(angle), np.sin(angle)])
        if rng.random() < 0.5 and len(self._foregrounds) > 1:
            x0, y0, x1, y1 = products[-1].bounds_xyxy
            size = max(x1 - x0, y1 - y0) * float(rng.uniform(0.4, 0.9))
            reach = np.array([x1 - x0, y1 - y0]) / 2 + 0.25 * size
            centre = np.array([x0 + x1, y0 + y1]) / 2 + away * reach
            sprite = self._foregrounds.foreground(self._other(row, rng))
            rotation = float(rng.uniform(-180, 180))
            front = self._placed(sprite, size, centre, rotation_deg=rotation, aspect=1.0, rng=rng)
            draw(out, sprite, window @ front.matrix)
            return
        colour = rng.uniform(0, 255, 3).tolist()
        middle = side / 2 + away * side * rng.uniform(0.38, 0.55)
        along = np.array([-away[1], away[0]]) * side
        start, end = ([int(v) for v in middle + sign * along] for sign in (-1, 1))
        cv2.line(out, start, end, colour, int(side * rng.uniform(0.04, 0.16)), cv2.LINE_AA)

    # -- the gallery's own photo -----------------------------------------------------------------

    def _clean(self, row: int, view: View, rng: Rng) -> RGB:
        """The gallery's own photo, cropped as the view is, hardly changed."""
        photo = self._foregrounds.photo(row)
        size = np.array(photo.shape[1::-1])
        keep = {"whole": (0.92, 1.0), "object": (0.6, 0.95), "part": (0.45, 0.75)}[view]
        width, height = (size * rng.uniform(*keep, 2)).astype(int)
        spread = 0.5 if view == "part" else 0.25  # the product is in the middle
        x, y = (int(left * (0.5 + spread * rng.uniform(-1, 1))) for left in size - (width, height))
        crop = photo[y : y + height, x : x + width]
        method = cv2.INTER_AREA if min(width, height) > self._side else cv2.INTER_LINEAR
        out = cv2.resize(crop, (self._side, self._side), interpolation=method)
        gain = float(rng.uniform(0.92, 1.05))
        return cv2.convertScaleAbs(out, alpha=gain).astype(np.uint8, copy=False)
