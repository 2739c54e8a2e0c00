"""Synthetic sellers' photos: a cut-out of a studio picture, composed into a scene.

A composition is a pure function of (picture, seed). The scene is described first (where each thing
stands, as a homography), then the part of it that a look of identification would show is drawn
straight into a crop of the training side: no large canvas is ever made. All of it is OpenCV on
uint8 pixels, which works in threads beside the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from satchel.adapt.compose.backgrounds import Backgrounds, drawn
from satchel.adapt.compose.foreground import RGBA, Cutouts
from satchel.images import RGB, encode_jpeg
from satchel.train.settings import SynthSettings

Rng = np.random.Generator
Matrix = npt.NDArray[np.float64]
"""Homography, shape (3, 3): pixels of a cut-out, or of the scene, → pixels of what is drawn."""
Kind = Literal["whole", "object", "part"]
KINDS: Final[tuple[Kind, ...]] = ("whole", "object", "part")

NOISE_SIDE_PX: Final = 1024
SKINS: Final = ((236, 188, 160), (224, 172, 138), (198, 134, 98), (141, 85, 54), (92, 58, 40))
"""Colours of hands, RGB; each is varied."""

MANY_AT_MOST: Final = 40
"""Copies of the product in one composition."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A cut-out in a scene.

    Attributes:
        sprite: what is drawn, colours multiplied by the mask.
        matrix: pixels of the sprite → pixels of the scene.
    """

    sprite: RGBA
    matrix: Matrix


class Composer:
    """Composes photos of the products of a gallery. Safe to use from several threads."""

    def __init__(
        self,
        cutouts: Cutouts,
        settings: SynthSettings,
        *,
        side_px: int,
        backgrounds: Backgrounds | None = None,
    ) -> None:
        self._cutouts = cutouts
        self._settings = settings
        self._side = side_px
        self._backgrounds = backgrounds
        noise = np.random.default_rng(0).normal(128, 32, (NOISE_SIDE_PX, NOISE_SIDE_PX, 3))
        self._noise = np.clip(noise, 0, 255).astype(np.uint8)

    def compose(self, row: int, rng: Rng, *, kind: Kind | None = None) -> RGB:
        """Compose a photo of one picture's product.

        Args:
            row: of the picture among the cut-outs.
            rng: decides everything else.
            kind: what is shown: the whole photo, the product's box, or a part of it, as the three
                looks of identification do; None draws one.

        Returns:
            Shape (side, side, 3), uint8.
        """
        settings = self._settings
        shares = np.array(settings.looks) / sum(settings.looks)
        kind = kind or KINDS[int(rng.choice(3, p=shares))]
        if rng.random() < settings.clean:
            return self._clean(row, kind, rng)
        sprite = self._sprite(row, rng)
        many = rng.random() < settings.many
        things = self._pile(sprite, rng) if many else [self._alone(sprite, rng)]
        window = self._window(things, kind, many, rng)
        out = self._background(rng)
        self._neighbours(out, row, window, things, rng)
        held = not many and rng.random() < settings.held
        hand = _Hand.drawn(things[0], rng) if held else None
        if hand:
            hand.arm(out, window)
        for thing in things:
            draw(out, thing.sprite, window @ thing.matrix)
        if hand:
            hand.fingers(out, window)
        if rng.random() < settings.hidden:
            self._cover(out, row, window, things, rng)
        return self._photographed(out, rng)

    # -- what stands where -----------------------------------------------------------------------

    def _sprite(self, row: int, rng: Rng) -> RGBA:
        """The cut-out, with a shadow around and below it."""
        settings = self._settings
        sprite = self._cutouts.cutout(row)
        if rng.random() < settings.mirrored:
            sprite = sprite[:, ::-1]
        if rng.random() < settings.shadow:
            sprite = shadowed(sprite, rng)
        return sprite

    def _alone(self, sprite: RGBA, rng: Rng) -> Placed:
        """One product, anywhere in the frame; partly beyond it where it is large."""
        settings, side = self._settings, self._side
        size = side * float(
            np.exp(rng.uniform(np.log(settings.smallest), np.log(settings.largest)))
        )
        free = max(0.1 * side, 0.8 * (side - size))
        centre = side / 2 + rng.uniform(-0.5, 0.5, 2) * free
        turn = _turn(settings.turn_deg, settings.upside, rng)
        aspect = self._aspect(rng)
        matrix = self._matrix(sprite, size, centre, turn_deg=turn, aspect=aspect, rng=rng)
        return Placed(sprite, matrix)

    def _pile(self, sprite: RGBA, rng: Rng) -> list[Placed]:
        """Many of the product: side by side as on a shelf, or in a heap; far ones first."""
        side = self._side
        size = side * float(np.exp(rng.uniform(np.log(0.16), np.log(0.7))))
        heap = rng.random() < 0.6
        turned = 180.0 if heap and rng.random() < 0.7 else 8.0
        height, width = sprite.shape[:2]
        longer = max(height, width)
        wide, high = size * width / longer, size * height / longer
        gap_x, gap_y = rng.uniform(0.45, 0.85, 2) if heap else (rng.uniform(0.85, 1.1), 0.9)
        if turned > 90:  # they lie in all directions
            wide = high = (wide + high) / 2
        step_x, step_y = max(6.0, wide * gap_x), max(6.0, high * gap_y)
        span = side * rng.uniform(0.7, 1.6, 2)
        columns = int(np.clip(span[0] / step_x, 2, 9))
        rows = int(np.clip(span[1] / step_y, 1, MANY_AT_MOST // columns))
        middle = side / 2 + rng.uniform(-0.15, 0.15, 2) * side
        variants = [_brightened(sprite, gain) for gain in rng.uniform(0.72, 1.08, 3)]
        aspect = self._aspect(rng)
        jitter = 0.25 if heap else 0.04
        things = []
        for row in range(rows):
            for column in range(columns):
                place = np.array([column - (columns - 1) / 2, row - (rows - 1) / 2])
                place[0] += 0.5 * (row % 2) * heap
                place += rng.uniform(-jitter, jitter, 2)
                centre = middle + place * (step_x, step_y)
                angle = float(rng.uniform(-turned, turned))
                grown = size * float(rng.uniform(0.85, 1.1)) if heap else size
                matrix = self._matrix(sprite, grown, centre, turn_deg=angle, aspect=aspect, rng=rng)
                things.append(Placed(variants[int(rng.integers(3))], matrix))
        return things

    def _aspect(self, rng: Rng) -> float:
        """Width ÷ height that a photo's frame had before it was made square."""
        return float(np.exp(rng.uniform(-1, 1) * np.log(self._settings.aspect)))

    def _matrix(
        self,
        sprite: RGBA,
        size_px: float,
        centre: Matrix,
        *,
        turn_deg: float,
        aspect: float,
        rng: Rng,
    ) -> Matrix:
        """Where a sprite goes whose longer side shall have a size: turned, leaning, squeezed."""
        height, width = sprite.shape[:2]
        scale = size_px / max(height, width)
        middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
        lean = self._settings.perspective * rng.uniform(-1, 1, 2) / max(height, width)
        shear = self._settings.perspective * rng.uniform(-0.5, 0.5)
        leaning = np.array([[1, shear, 0], [0, 1, 0], [lean[0], lean[1], 1.0]])
        angle = np.radians(turn_deg)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
        squeeze = np.sqrt(aspect)
        placed = np.array([[squeeze, 0, centre[0]], [0, 1 / squeeze, centre[1]], [0, 0, 1.0]])
        matrix: Matrix = placed @ turned @ leaning @ middle
        return matrix

    def _window(self, things: list[Placed], kind: Kind, many: bool, rng: Rng) -> Matrix:
        """Scene → crop: all of it, the box of the product, or a part of that box."""
        side = self._side
        if kind == "whole":
            return np.eye(3)
        if many:  # a box in a heap is any part of it
            x0, y0, x1, y1 = 0.0, 0.0, float(side), float(side)
        else:
            x0, y0, x1, y1 = _bounds(things[0])
        width, height = x1 - x0, y1 - y0
        if kind == "object" and not many:
            grow = rng.uniform(-0.06, 0.3, 4)
            box = x0 - grow[0] * width, y0 - grow[1] * height
            ends = x1 + grow[2] * width, y1 + grow[3] * height
        else:
            keep = rng.uniform(0.45, 0.85, 2) if kind == "part" else rng.uniform(0.6, 1.0, 2)
            at = rng.random(2) * (1 - keep)
            box = x0 + at[0] * width, y0 + at[1] * height
            ends = box[0] + keep[0] * width, box[1] + keep[1] * height
        scale_x, scale_y = side / (ends[0] - box[0]), side / (ends[1] - box[1])
        return np.array(
            [[scale_x, 0, -box[0] * scale_x], [0, scale_y, -box[1] * scale_y], [0, 0, 1]]
        )

    # -- what else is there ----------------------------------------------------------------------

    def _background(self, rng: Rng) -> npt.NDArray[np.uint8]:
        if self._backgrounds and rng.random() < self._settings.real:
            return np.ascontiguousarray(self._backgrounds.cut(self._side, rng))
        return np.ascontiguousarray(drawn(self._side, rng))

    def _neighbours(
        self,
        out: npt.NDArray[np.uint8],
        row: int,
        window: Matrix,
        things: list[Placed],
        rng: Rng,
    ) -> None:
        """Other products behind this one, smaller than it: it remains what the photo is of."""
        if rng.random() >= self._settings.neighbours or len(self._cutouts) < 2:
            return
        x0, y0, x1, y1 = _bounds(things[0])
        for _ in range(int(rng.integers(1, 6))):
            sprite = self._cutouts.cutout(self._other(row, rng))
            size = max(x1 - x0, y1 - y0) * float(rng.uniform(0.3, 0.85))
            centre = self._side * rng.uniform(0, 1, 2)
            turn = _turn(self._settings.turn_deg, 0.3, rng)
            matrix = self._matrix(sprite, size, centre, turn_deg=turn, aspect=1.0, rng=rng)
            draw(out, sprite, window @ matrix)

    def _other(self, row: int, rng: Rng) -> int:
        return int((row + rng.integers(1, len(self._cutouts))) % len(self._cutouts))

    def _cover(
        self,
        out: npt.NDArray[np.uint8],
        row: int,
        window: Matrix,
        things: list[Placed],
        rng: Rng,
    ) -> None:
        """Something in front: an edge of another product, or a blurred bar across a side."""
        side = self._side
        angle = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(angle), np.sin(angle)])
        if rng.random() < 0.5 and len(self._cutouts) > 1:
            x0, y0, x1, y1 = _bounds(things[-1])
            size = max(x1 - x0, y1 - y0) * float(rng.uniform(0.4, 0.9))
            reach = np.array([x1 - x0, y1 - y0]) / 2 + 0.25 * size
            centre = np.array([x0 + x1, y0 + y1]) / 2 + away * reach
            sprite = self._cutouts.cutout(self._other(row, rng))
            turn = float(rng.uniform(-180, 180))
            matrix = self._matrix(sprite, size, centre, turn_deg=turn, aspect=1.0, rng=rng)
            draw(out, sprite, window @ matrix)
            return
        colour = rng.uniform(0, 255, 3).tolist()
        middle = side / 2 + away * side * rng.uniform(0.38, 0.55)
        along = np.array([-away[1], away[0]]) * side
        start, end = ([int(v) for v in middle + sign * along] for sign in (-1, 1))
        cv2.line(out, start, end, colour, int(side * rng.uniform(0.04, 0.16)), cv2.LINE_AA)

    # -- how a phone sees it ---------------------------------------------------------------------

    def _clean(self, row: int, kind: Kind, rng: Rng) -> RGB:
        """The gallery's own picture, as its looks show it, hardly changed."""
        picture = self._cutouts.picture(row)
        size = np.array(picture.shape[1::-1])
        keep = {"whole": (0.92, 1.0), "object": (0.6, 0.95), "part": (0.45, 0.75)}[kind]
        width, height = (size * rng.uniform(*keep, 2)).astype(int)
        spread = 0.5 if kind == "part" else 0.25  # the product stands in the middle
        x, y = (int(left * (0.5 + spread * rng.uniform(-1, 1))) for left in size - (width, height))
        cut = picture[y : y + height, x : x + width]
        method = cv2.INTER_AREA if min(width, height) > self._side else cv2.INTER_LINEAR
        out = cv2.resize(cut, (self._side, self._side), interpolation=method)
        gain = float(rng.uniform(0.92, 1.05))
        return cv2.convertScaleAbs(out, alpha=gain).astype(np.uint8, copy=False)

    def _photographed(self, out: npt.NDArray[np.uint8], rng: Rng) -> RGB:
        """Light, colours, blur, noise and JPEG, in the order in which they come about."""
        settings = self._settings
        if settings.light:
            out = _lit(out, settings.light, rng)
        out = _recoloured(out, settings, rng)
        if rng.random() < settings.blurred:
            out = _blurred(out, settings.blur_px * len(out) / 160, rng)
        if rng.random() < settings.noisy:
            level = float(rng.uniform(0, settings.noise_levels)) / 32
            y, x = rng.integers(0, NOISE_SIDE_PX - self._side, 2)
            tile = self._noise[y : y + self._side, x : x + self._side]
            grainy = cv2.addWeighted(out, 1.0, tile, level, -128 * level)
            out = grainy.astype(np.uint8, copy=False)
        out = np.ascontiguousarray(out)
        if rng.random() < settings.jpeg:
            quality = int(rng.integers(settings.jpeg_quality, 93))
            out = simplejpeg.decode_jpeg(encode_jpeg(out, quality), "RGB", fastdct=True)
        return out


# -- drawing ---------------------------------------------------------------------------------------


def draw(out: npt.NDArray[np.uint8], sprite: RGBA, matrix: Matrix) -> None:
    """Lay a sprite over a picture, in place.

    Args:
        out: shape (h, w, 3), uint8.
        sprite: colours multiplied by the mask.
        matrix: pixels of the sprite → pixels of `out`; pixel (i, j) covers [j, j + 1) × [i, i + 1).
    """
    height, width = out.shape[:2]
    x0, y0, x1, y1 = _bounds(Placed(sprite, matrix))
    left, top = max(0, int(x0)), max(0, int(y0))
    right, bottom = min(width, int(x1) + 1), min(height, int(y1) + 1)
    if right <= left or bottom <= top:
        return
    # Linear sampling alone would alias where much is shrunk.
    shrink = max(sprite.shape[1] / max(1.0, x1 - x0), sprite.shape[0] / max(1.0, y1 - y0))
    if shrink > 1.6:
        size_wh = max(2, int(sprite.shape[1] / shrink)), max(2, int(sprite.shape[0] / shrink))
        scale = np.diag([sprite.shape[1] / size_wh[0], sprite.shape[0] / size_wh[1], 1.0])
        sprite = cv2.resize(sprite, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
        matrix = matrix @ scale
    # OpenCV puts a pixel's centre at whole numbers; here it is half a pixel further.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    back = np.array([[1, 0, -0.5 - left], [0, 1, -0.5 - top], [0, 0, 1.0]])
    shown = cv2.warpPerspective(sprite, back @ matrix @ half, (right - left, bottom - top))
    colours, mask = shown[..., :3], shown[..., 3]
    rest = cv2.bitwise_not(mask)
    under = out[top:bottom, left:right]
    kept = cv2.multiply(under, cv2.merge([rest, rest, rest]), scale=1 / 255)
    under[:] = cv2.add(kept, np.ascontiguousarray(colours))


def _bounds(thing: Placed) -> tuple[float, float, float, float]:
    """The rectangle that just holds a sprite where it is placed: left, top, right, bottom."""
    height, width = thing.sprite.shape[:2]
    corners = np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1.0]])
    x, y, w = thing.matrix @ corners
    x, y = x / w, y / w
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def shadowed(sprite: RGBA, rng: Rng) -> RGBA:
    """The sprite with a soft shadow under it, a little to one side; larger by its reach."""
    height, width = sprite.shape[:2]
    reach = max(2, int(max(height, width) * rng.uniform(0.03, 0.1)))
    wide = cv2.copyMakeBorder(
        sprite, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)
    )
    dx, dy = int(reach * rng.uniform(-0.8, 0.8)), int(reach * rng.uniform(0, 0.9))
    shade = np.zeros(wide.shape[:2], np.uint8)
    shade[reach + dy : reach + dy + height, reach + dx : reach + dx + width] = sprite[..., 3]
    size = 2 * (reach // 2) + 1
    shade = cv2.blur(cv2.blur(shade, (size, size)), (size, size))
    strength = float(rng.uniform(0.2, 0.75))
    # Over the shadow, which is black: colours stay, masks add up to 1 − (1 − a)(1 − b).
    mask = wide[..., 3]
    under = cv2.multiply(shade, cv2.bitwise_not(mask), scale=strength / 255)
    wide[..., 3] = cv2.add(mask, under)
    return wide.astype(np.uint8, copy=False)


@dataclass(frozen=True, slots=True)
class _Hand:
    """A hand that holds a product: an arm behind it, fingers over its edge; scene coordinates."""

    colour: tuple[float, float, float]
    width: float
    root: Matrix
    wrist: Matrix
    tips: tuple[tuple[Matrix, Matrix], ...]

    @classmethod
    def drawn(cls, thing: Placed, rng: Rng) -> _Hand:
        x0, y0, x1, y1 = _bounds(thing)
        centre, half = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0]) / 2
        angle = rng.uniform(0.05, 0.95) * np.pi  # from below, the left or the right
        away = np.array([np.cos(angle), np.sin(angle)])
        skin = np.array(SKINS[int(rng.integers(len(SKINS)))]) * rng.uniform(0.75, 1.1)
        width = float(half.mean() * rng.uniform(0.5, 0.9))
        edge = centre + away * half * rng.uniform(0.75, 0.95)
        along = np.array([-away[1], away[0]])
        finger = width * rng.uniform(0.3, 0.42)
        tips = []
        for at in range(int(rng.integers(1, 5))):
            start = edge + along * (at - 1.5) * finger * 1.05 + away * finger
            tips.append((start, start - away * half * rng.uniform(0.2, 0.55)))
        r, g, b = np.clip(skin, 0, 255)
        return cls((r, g, b), width, centre + away * half * 4, edge, tuple(tips))

    def arm(self, out: npt.NDArray[np.uint8], window: Matrix) -> None:
        self._stroke(out, window, self.root, self.wrist, self.width)

    def fingers(self, out: npt.NDArray[np.uint8], window: Matrix) -> None:
        for start, end in self.tips:
            self._stroke(out, window, start, end, self.width * 0.34)

    def _stroke(
        self, out: npt.NDArray[np.uint8], window: Matrix, start: Matrix, end: Matrix, width: float
    ) -> None:
        """A rounded bar, brighter along its middle."""
        scale = float(np.sqrt(window[0, 0] * window[1, 1]))
        root, tip = (
            [int(v) for v in np.clip((window @ np.array([*point, 1.0]))[:2], -4000, 4000)]
            for point in (start, end)
        )
        for share, shade in ((1.0, 0.72), (0.82, 0.9), (0.5, 1.0)):
            colour = [shade * level for level in self.colour]
            thick = int(np.clip(share * width * scale, 1, 255))
            cv2.line(out, root, tip, colour, thick, cv2.LINE_AA)


# -- light and colours -----------------------------------------------------------------------------


def _brightened(sprite: RGBA, gain: float) -> RGBA:
    gains = np.array([gain, gain, gain, 1.0])
    scaled: RGBA = cv2.multiply(sprite, gains).astype(np.uint8, copy=False)
    return scaled


def _turn(most_deg: float, upside: float, rng: Rng) -> float:
    """Degrees: mostly nearly upright, in a share of the scenes any way around."""
    if rng.random() < upside:
        return float(rng.uniform(-180, 180))
    return float(rng.uniform(-most_deg, most_deg))


def _lit(out: npt.NDArray[np.uint8], strength: float, rng: Rng) -> npt.NDArray[np.uint8]:
    """Brighter here, darker there: a smooth field of 3 × 3 gains."""
    field = 128 * (1 + rng.uniform(-1, 1) * strength * rng.uniform(-1, 1, (3, 3)))
    gains = cv2.resize(field.clip(0, 255).astype(np.uint8), out.shape[1::-1])
    lit = cv2.multiply(out, cv2.merge([gains, gains, gains]), scale=1 / 128)
    return lit.astype(np.uint8, copy=False)


def _recoloured(
    out: npt.NDArray[np.uint8], settings: SynthSettings, rng: Rng
) -> npt.NDArray[np.uint8]:
    """Exposure, white balance, saturation and contrast as one 3 × 4 matrix."""
    exposure = np.exp(rng.uniform(-1, 1) * np.log1p(settings.brightness))
    warmth, tint = rng.uniform(-1, 1, 2) * settings.white_balance
    gain = exposure * np.array([1 + warmth, 1 + tint / 2, 1 - warmth])
    saturation = 1 + rng.uniform(-1, 1) * settings.saturation
    contrast = 1 + rng.uniform(-1, 1) * settings.contrast
    grey = np.array([0.299, 0.587, 0.114])
    mix = saturation * np.eye(3) + (1 - saturation) * np.tile(grey, (3, 1))
    matrix = (contrast * gain)[:, None] * mix
    offset = np.full((3, 1), 128 * (1 - contrast))
    affine = np.hstack([matrix, offset]).astype(np.float32)
    recoloured: npt.NDArray[np.uint8] = cv2.transform(out, affine).astype(np.uint8, copy=False)
    return recoloured


def _blurred(out: npt.NDArray[np.uint8], most_px: float, rng: Rng) -> npt.NDArray[np.uint8]:
    """Out of focus, shaken, or of few pixels: one of the three."""
    strength = float(rng.uniform(0.4, most_px))
    way = rng.random()
    if way < 0.35:
        return cv2.GaussianBlur(out, (0, 0), strength).astype(np.uint8, copy=False)
    side = len(out)
    if way < 0.65:
        length = 2 * int(strength * 1.5) + 3
        kernel = np.zeros((length, length), np.float32)
        reach = length // 2 * np.array([np.cos(a := rng.uniform(0, np.pi)), np.sin(a)])
        start, end = ([round(v) for v in length // 2 + s * reach] for s in (-1, 1))
        cv2.line(kernel, start, end, 1.0, 1)
        return cv2.filter2D(out, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)
    small = max(24, int(side / (0.8 + strength)))
    few = cv2.resize(out, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(few, (side, side), interpolation=cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )
