"""Goods without their background, and goods placed in a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from satchel.adapt.compose.drawing import Matrix, Placed, Rng
from satchel.adapt.compose.foreground import RGBA, grabcut_mask, multiplied
from satchel.arrays import Doubles
from satchel.images import RGB
from satchel.locate.card import CATEGORIES
from satchel.records import Box

VISIBLE: Final = 100
"""Value of the mask from which a pixel belongs to the outline."""

LEATHERS: Final = np.array(
    [
        (30, 28, 28),
        (60, 40, 30),
        (140, 90, 50),
        (200, 170, 130),
        (230, 225, 215),
        (120, 20, 30),
        (30, 40, 80),
        (180, 180, 185),
    ]
)
"""Colours of goods, RGB."""

GREY: Final = np.array([0.3, 0.59, 0.11])
HUE_AXIS: Final = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)


@dataclass(frozen=True, slots=True)
class Sprite:
    """A good without its background.

    Attributes:
        pixels: colours premultiplied by the mask.
        label: its place in `CATEGORIES`.
        outline: shape (k, 2): corners of its convex hull, x and y in pixels.
    """

    pixels: RGBA
    label: int
    outline: Doubles

    @classmethod
    def of(cls, pixels: RGBA, category: str) -> Sprite | None:
        """Measure a good; None where nothing of it is visible."""
        mask = (pixels[..., 3] > VISIBLE).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if not contours:
            return None
        hull = cv2.convexHull(np.concatenate(contours)).reshape(-1, 2).astype(np.float64) + 0.5
        return cls(np.ascontiguousarray(pixels), CATEGORIES.index(category), hull)

    def mirrored(self) -> Sprite:
        """Left and right exchanged."""
        x, y = self.outline.T
        outline = np.stack([self.pixels.shape[1] - x, y], 1)
        return Sprite(np.ascontiguousarray(self.pixels[:, ::-1]), self.label, outline)


@dataclass(frozen=True, slots=True)
class Good:
    """A good in a scene.

    Attributes:
        matrix: pixels of the sprite → pixels of the scene.
    """

    sprite: Sprite
    matrix: Matrix

    @property
    def box(self) -> Doubles:
        """The smallest box around its outline, shape (4,), xyxy; may reach beyond the scene."""
        x, y, w = self.matrix @ np.vstack(
            [self.sprite.outline.T, np.ones(len(self.sprite.outline))]
        )
        return np.array([(x / w).min(), (y / w).min(), (x / w).max(), (y / w).max()])

    @property
    def placed(self) -> Placed:
        """As the drawing functions take it."""
        return Placed(self.sprite.pixels, self.matrix)

    def fitted(self, box: Doubles) -> Good:
        """Moved and scaled so that its box has this one's centre and width."""
        own = self.box
        scale = (box[2] - box[0]) / (own[2] - own[0])
        shift = (box[:2] + box[2:]) / 2 - scale * (own[:2] + own[2:]) / 2
        move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1.0]])
        return Good(self.sprite, move @ self.matrix)

    def shifted(self, x: float, y: float) -> Good:
        """Moved by so many pixels."""
        return Good(self.sprite, np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]]) @ self.matrix)


def turned(sprite: Sprite, degrees: float, lean: float, rng: Rng) -> Good:
    """A good around the origin, its longer side 1 long: turned, sheared, seen from one side.

    Args:
        lean: strength of shear and perspective; 0: none.
    """
    height, width = sprite.pixels.shape[:2]
    longer = max(height, width)
    centred = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
    vanishing = lean * rng.uniform(-1, 1, 2) / longer
    seen = np.array([[1, lean * rng.uniform(-0.5, 0.5), 0], [0, 1, 0], [*vanishing, 1.0]])
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle) / longer, np.sin(angle) / longer
    rotated = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    squeeze = np.exp(rng.uniform(-0.15, 0.15))
    return Good(sprite, np.diag([squeeze, 1 / squeeze, 1.0]) @ rotated @ seen @ centred)


def recoloured(sprite: Sprite, texture: RGB | None, rng: Rng) -> Sprite:
    """The good in another colour, and with a print.

    Args:
        texture: any picture, whose brightness becomes the print; None: no print.
    """
    mask = sprite.pixels[..., 3:].astype(np.float32) / 255
    colours = sprite.pixels[..., :3].astype(np.float32)
    way = rng.random()
    if way < 0.35:
        rotation = _hue_rotation(float(rng.uniform(0, 2 * np.pi)))
        colours = colours @ rotation.T.astype(np.float32)
    elif way < 0.65:
        leather = LEATHERS[int(rng.integers(len(LEATHERS)))] * rng.uniform(0.7, 1.2, 3)
        dyed = (colours @ GREY)[..., None] / 128 * leather + rng.uniform(0, 30) * mask
        colours = colours + rng.uniform(0.5, 1) * (dyed - colours)
    if texture is not None:
        size_wh = sprite.pixels.shape[1], sprite.pixels.shape[0]
        print_ = cv2.resize(texture, size_wh).astype(np.float32)
        share = rng.uniform(0.3, 1)
        colours = colours * (1 - share + share * print_ / (print_.mean() + 1))
    colours = np.clip(colours * rng.uniform(0.6, 1.15), 0, 255 * mask)
    pixels = np.dstack([colours, sprite.pixels[..., 3]]).astype(np.uint8)
    return Sprite(pixels, sprite.label, sprite.outline)


def _hue_rotation(angle: float) -> Doubles:
    """Rotation of colours about the grey axis, shape (3, 3)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * np.eye(3) + (1 - cosine) / 3 * np.ones((3, 3)) + sine * HUE_AXIS


def cut_out(pixels: RGB, box: Box) -> RGBA | None:
    """What GrabCut finds in a box of a photo, in the photo's size; None where it fails."""
    mask = grabcut_mask(pixels, box)
    if mask is None:
        return None
    size_wh = pixels.shape[1], pixels.shape[0]
    return multiplied(pixels, cv2.resize(mask, size_wh).astype(np.uint8, copy=False))


def trimmed(pixels: RGBA, least: int) -> RGBA | None:
    """The rectangle that just holds a mask; None where it has fewer than `least` pixels."""
    ys, xs = np.nonzero(pixels[..., 3] > 127)
    if len(ys) < least:
        return None
    return pixels[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
