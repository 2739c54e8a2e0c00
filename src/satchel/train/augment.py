"""Augmentation: photo → training crop, simulating sellers' cameras and framing.

Everything is done on uint8 pixels with OpenCV, in threads and without torch. A crop depends on its
photo, the recipe and the seed it is given, on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from satchel.arrays import Bytes
from satchel.images import RGB, crop
from satchel.records import WHOLE_PHOTO, Box

Rng = np.random.Generator
Recipe = Callable[[RGB, Box, int, Rng], RGB]
"""(pixels, box of the object, side in pixels, randomness) → crop, shape (side, side, 3)."""

GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)


def centred(pixels: RGB, box: Box, side_px: int, rng: Rng) -> RGB:
    """No augmentation: the whole photo, as in an encoder's first pass."""
    return crop(pixels, WHOLE_PHOTO, side_px)


def seed_recipe(pixels: RGB, box: Box, side_px: int, rng: Rng) -> RGB:
    """RandomCrop and RandomBrightnessContrast, the two that the seed found fit for sellers' photos.

    The crop keeps 60 to 100 % of each side; brightness and contrast change by up to 20 %, each
    with probability one half, as Albumentations' defaults do.
    """
    keep = rng.uniform(0.6, 1, 2)
    x, y = rng.uniform(0, 1, 2) * (1 - keep)
    out = crop(pixels, Box(float(x), float(y), float(x + keep[0]), float(y + keep[1])), side_px)
    gain = 1 + rng.uniform(-0.2, 0.2) if rng.random() < 0.5 else 1.0
    offset = 255 * rng.uniform(-0.2, 0.2) if rng.random() < 0.5 else 0.0
    return _saturating(out, gain, offset)


def strong_recipe(pixels: RGB, box: Box, side_px: int, rng: Rng) -> RGB:
    """Crops near the object or anywhere, turned, mirrored, recoloured a little, blurred, erased.

    Half of the crops stay around the located object, as later encoder passes do; the
    others are anywhere, as in its first pass and after poor localisation.
    """
    around = box if rng.random() < 0.5 else WHOLE_PHOTO
    out = _warped(pixels, _random_box(around, rng), side_px, rng)
    if rng.random() < 0.5:
        out = out[:, ::-1]
    if rng.random() < 0.8:
        out = recoloured(out, rng)
    if rng.random() < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.6))).astype(np.uint8)
    if rng.random() < 0.25:
        out = _erased(np.array(out), rng)
    return np.ascontiguousarray(out)


RECIPES: Final[dict[str, Recipe]] = {
    "none": centred,
    "seed": seed_recipe,
    "strong": strong_recipe,
}


def _random_box(around: Box, rng: Rng) -> tuple[float, float, float, float]:
    """Centre x and y, width and height of a crop, in fractions of the photo.

    Its area is 25 to 110 % of the box's and its aspect changes by up to a third.
    """
    area = rng.uniform(0.25, 1.1)
    aspect = np.exp(rng.uniform(-1, 1) * np.log(4 / 3))
    width = min(1.0, (around.x1 - around.x0) * float(np.sqrt(area * aspect)))
    height = min(1.0, (around.y1 - around.y0) * float(np.sqrt(area / aspect)))
    slack_x, slack_y = (around.x1 - around.x0) - width, (around.y1 - around.y0) - height
    x = around.x0 + width / 2 + slack_x * rng.random()
    y = around.y0 + height / 2 + slack_y * rng.random()
    return float(x), float(y), width, height


def _warped(pixels: RGB, place: tuple[float, float, float, float], side_px: int, rng: Rng) -> RGB:
    """Crop the photo, rotated by up to 15 degrees, in one resampling."""
    height, width = pixels.shape[:2]
    x, y, w, h = place
    turn = np.radians(rng.uniform(-15, 15)) if rng.random() < 0.5 else 0.0
    scale_x, scale_y = w * width / side_px, h * height / side_px
    cos, sin = np.cos(turn), np.sin(turn)
    inverse = np.array([[cos * scale_x, -sin * scale_y], [sin * scale_x, cos * scale_y]])
    centre = np.array([x * width, y * height])
    shift = centre - inverse @ np.array([side_px / 2, side_px / 2])
    matrix = np.column_stack([inverse, shift]).astype(np.float32)
    shrink = max(scale_x, scale_y)
    if shrink > 2:  # linear sampling alone would alias
        factor = 1 / (shrink / 1.5)
        pixels = cv2.resize(
            pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
        ).astype(np.uint8, copy=False)
        matrix *= factor
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: RGB = cv2.warpAffine(
        pixels, matrix, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    ).astype(np.uint8, copy=False)
    return warped


def recoloured(pixels: RGB, rng: Rng) -> RGB:
    """Colour jitter: brightness, contrast, saturation and white balance."""
    gain = rng.uniform(0.7, 1.35) * (1 + rng.uniform(-0.08, 0.08, 3))
    saturation = rng.uniform(0.7, 1.3)
    contrast = rng.uniform(0.8, 1.25)
    # One 3 × 3 matrix does it all: saturation mixes towards grey, then gains, about mid-grey.
    mix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * np.tile(GREY, (3, 1))
    matrix = (contrast * gain)[:, None] * mix
    offset = np.full((3, 1), 128 * (1 - contrast), np.float32)
    affine = np.hstack([matrix, offset]).astype(np.float32)
    recoloured: RGB = cv2.transform(np.ascontiguousarray(pixels), affine).astype(
        np.uint8, copy=False
    )
    return recoloured


def _erased(pixels: Bytes, rng: Rng) -> RGB:
    """Random erasing (Zhong et al., AAAI 2020): a hand, a label, a reflection hides a part."""
    side = len(pixels)
    height, width = (int(s) for s in side * rng.uniform(0.1, 0.4, 2))
    y, x = int(rng.integers(0, side - height + 1)), int(rng.integers(0, side - width + 1))
    pixels[y : y + height, x : x + width] = rng.integers(0, 256, 3, dtype=np.uint8)
    return pixels


def _saturating(pixels: RGB, gain: float, offset: float) -> RGB:
    changed: RGB = cv2.convertScaleAbs(
        np.maximum(pixels * np.float32(gain) + np.float32(offset), 0)
    ).astype(np.uint8, copy=False)
    return changed
