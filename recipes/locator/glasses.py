"""Drawn glasses: rims, lenses and temples of random shapes, seen from in front.

Thin things of glass are cut out badly, and free pictures of them are few.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np

from recipes.locator.goods import Sprite
from satchel.adapt.compose.drawing import Rng
from satchel.arrays import Doubles, Floats

SIDE_PX: Final = 320
FRAMES: Final = np.array(
    [
        (20, 20, 20),
        (60, 40, 30),
        (150, 110, 60),
        (200, 180, 120),
        (180, 180, 185),
        (230, 225, 220),
        (120, 30, 40),
        (40, 50, 90),
        (90, 70, 50),
    ]
)
LENSES: Final = np.array(
    [
        (25, 25, 28),
        (60, 40, 30),
        (40, 50, 60),
        (110, 80, 60),
        (200, 205, 210),
        (90, 60, 90),
        (50, 80, 110),
    ]
)
CORNERS: Final = 64
"""Of a lens's outline."""

SUBPIXEL_BITS: Final = 4

Colour = Doubles
"""RGB, shape (3,)."""


@dataclass(slots=True)
class _Sheet:
    """Premultiplied RGBA that shapes are drawn on, shape (side, side, 4)."""

    pixels: Floats = field(default_factory=lambda: np.zeros((SIDE_PX, SIDE_PX, 4), np.float32))

    def fill(self, outline: Doubles, colour: Colour | Floats, opacity: float) -> None:
        mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        cv2.fillPoly(mask, [_fixed(outline)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        self._blend(mask, colour, opacity)

    def line(self, points: Doubles, colour: Colour, width: float) -> None:
        mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        thick = max(1, int(width))
        cv2.polylines(mask, [_fixed(points)], False, 255, thick, cv2.LINE_AA, SUBPIXEL_BITS)
        self._blend(mask, colour, 1.0)

    def _blend(self, mask: np.ndarray, colour: Colour | Floats, opacity: float) -> None:
        alpha = (mask / 255 * opacity)[..., None]
        self.pixels[..., :3] = self.pixels[..., :3] * (1 - alpha) + colour * alpha
        self.pixels[..., 3:] = self.pixels[..., 3:] * (1 - alpha) + 255 * alpha


@dataclass(frozen=True, slots=True)
class _Shape:
    """Sizes in pixels: half a lens's width and height, half the bridge, the rim's width."""

    half_width: float
    half_height: float
    half_bridge: float
    rim: float

    @classmethod
    def sample(cls, rng: Rng) -> _Shape:
        half_width = SIDE_PX * rng.uniform(0.15, 0.2)
        half_height = half_width * rng.uniform(0.5, 1.05)
        return cls(half_width, half_height, SIDE_PX * rng.uniform(0.03, 0.07), rng.uniform(1.5, 10))

    @property
    def hinges(self) -> Doubles:
        """Where the temples begin, left and right, shape (2, 2)."""
        across = self.half_bridge + 2 * self.half_width
        y = SIDE_PX / 2 - self.half_height / 2
        return np.array([(SIDE_PX / 2 - across, y), (SIDE_PX / 2 + across, y)])


def glasses_sprites(count: int, seed: int = 0) -> list[Sprite]:
    """So many different glasses."""
    return [draw_glasses(np.random.default_rng([seed, number])) for number in range(count)]


def draw_glasses(rng: Rng) -> Sprite:
    """Draw one."""
    sheet, shape = _Sheet(), _Shape.sample(rng)
    frame = _pick(FRAMES, rng) * rng.uniform(0.7, 1.2)
    temples = frame if rng.random() < 0.7 else _pick(FRAMES, rng)
    _draw_temples(sheet, shape, temples, rng)
    _draw_lenses(sheet, shape, frame, rng)
    _draw_bridge(sheet, shape, frame, rng)
    fade = rng.uniform(0, 0.35)
    shade = np.linspace(1 - fade, 1 + fade, SIDE_PX)[:, None, None]
    sheet.pixels[..., :3] *= shade if rng.random() < 0.5 else shade.transpose(1, 0, 2)
    pixels = _seen_from_a_side(sheet.pixels, rng)
    pixels[..., :3] = np.minimum(pixels[..., :3], pixels[..., 3:])
    drawn = pixels.clip(0, 255).astype(np.uint8)
    ys, xs = np.nonzero(drawn[..., 3] > 60)
    sprite = Sprite.of(drawn[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1], "eyewear")
    assert sprite is not None
    return sprite


def _draw_temples(sheet: _Sheet, shape: _Shape, colour: Colour, rng: Rng) -> None:
    """Open, towards the viewer or away; folded behind the lenses; or hidden."""
    length, width = SIDE_PX * rng.uniform(0.25, 0.45), rng.uniform(2, 12)
    left, right = shape.hinges
    way = rng.random()
    if way < 0.45:
        down = rng.choice([-1, 1]) * length * rng.uniform(0.3, 1)
        for hinge, inwards in ((left, 1), (right, -1)):
            bend = hinge + np.array([inwards * length * rng.uniform(-0.1, 0.25), down])
            end = bend + np.array([6 * inwards, np.sign(down) * length * 0.15])
            sheet.line(np.stack([hinge, bend, end]), colour, width)
    elif way < 0.8:
        inset = np.array([0.2 * shape.half_width, 0])
        for hinge, end, most in ((left, right - inset, 1.0), (right, left + inset, 1.2)):
            drop = np.array([0, rng.uniform(0.2, most) * shape.half_height])
            sheet.line(np.stack([hinge, end + drop]), colour, width)


def _draw_lenses(sheet: _Sheet, shape: _Shape, frame: Colour, rng: Rng) -> None:
    tint = _pick(LENSES, rng) * rng.uniform(0.7, 1.3)
    opacity = rng.uniform(0.75, 0.98) if rng.random() < 0.7 else rng.uniform(0.1, 0.4)
    roundness, tilt, skew = rng.uniform(2, 5), rng.uniform(-0.2, 0.12), rng.uniform(-0.2, 0.2)
    for side in (-1, 1):
        centre = SIDE_PX / 2 + np.array([side * (shape.half_bridge + shape.half_width), 0])
        outline = centre + _superellipse(shape, roundness, side * tilt, side * skew)
        fade = np.linspace(1 + rng.uniform(0, 0.4), 1 - rng.uniform(0, 0.4), SIDE_PX)
        shaded = np.clip(tint * fade[:, None, None], 0, 255) * np.ones((SIDE_PX, SIDE_PX, 3))
        sheet.fill(outline, shaded.astype(np.float32), opacity)
        if rng.random() < 0.5:  # a reflection
            glint = (outline + centre) / 2 + rng.uniform(-0.3, 0.3, 2) * shape.half_height
            sheet.fill(glint, np.full(3, 255.0), rng.uniform(0.05, 0.3))
        sheet.line(np.vstack([outline, outline[:1]]), frame, shape.rim)


def _draw_bridge(sheet: _Sheet, shape: _Shape, colour: Colour, rng: Rng) -> None:
    middle, reach, height = SIDE_PX / 2, 1.2 * shape.half_bridge, shape.half_height
    rises = (0.1, 0.5), (0.2, 0.7), (0.1, 0.5)
    low, high, other = (middle - height * rng.uniform(*rise) for rise in rises)
    arch = np.array([(middle - reach, low), (middle, high), (middle + reach, other)])
    sheet.line(arch, colour, shape.rim)
    if rng.random() < 0.2:  # a brow bar, as pilots' glasses have
        reach, top = shape.half_bridge + shape.half_width, middle - height
        bar = np.array([(middle - reach, top), (middle + reach, top)])
        sheet.line(bar, colour, 0.7 * shape.rim)


def _superellipse(shape: _Shape, power: float, tilt: float, skew: float) -> Doubles:
    """Outline around 0, shape (CORNERS, 2): an ellipse at power 2, squarer above."""
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    round_ = np.stack([np.cos(angle), np.sin(angle)])
    x, y = np.sign(round_) * np.abs(round_) ** (2 / power)
    x, y = shape.half_width * x, shape.half_height * y * (1 + skew * x)
    cosine, sine = np.cos(tilt), np.sin(tilt)
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], 1)


def _seen_from_a_side(pixels: Floats, rng: Rng) -> Floats:
    """Narrower, and one end smaller than the other."""
    width = SIDE_PX * rng.uniform(0.45, 1)
    end = rng.uniform(-0.3, 0.3) * SIDE_PX / 4
    left, right = max(0.0, -end), max(0.0, end)
    corners = [(0, left), (width, right), (width, SIDE_PX - right), (0, SIDE_PX - left)]
    square = [(0, 0), (SIDE_PX, 0), (SIDE_PX, SIDE_PX), (0, SIDE_PX)]
    matrix = cv2.getPerspectiveTransform(
        np.array(square, np.float32), np.array(corners, np.float32)
    )
    size_wh = int(width), SIDE_PX
    return cv2.warpPerspective(pixels, matrix, size_wh, flags=cv2.INTER_AREA).astype(np.float32)


def _fixed(points: Doubles) -> np.ndarray:
    """Points in OpenCV's fixed-point coordinates."""
    return np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)


def _pick(colours: np.ndarray, rng: Rng) -> Colour:
    return colours[int(rng.integers(len(colours)))].astype(float)
