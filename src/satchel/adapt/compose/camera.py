"""Simulation of a phone's camera: uneven light, colour, blur, sensor noise, JPEG artefacts."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from satchel.adapt.compose.drawing import Rng
from satchel.adapt.settings import SynthSettings
from satchel.images import RGB, encode_jpeg

Pixels = npt.NDArray[np.uint8]

NOISE_SIDE_PX: Final = 1024

# At strength 1; fitted to the development queries, which are photos of phones.
UNEVEN_LIGHT: Final = 0.5
"""Change of brightness across the photo, at most."""

EXPOSURE: Final = 0.35
WHITE_BALANCE: Final = 0.1
CONTRAST: Final = 0.2
SATURATION: Final = 0.25
"""Relative changes, at most; of white balance, red against blue."""

P_BLUR: Final = 0.35
BLUR_PX: Final = 2.0
"""Standard deviation of a blur in a photo of 160 pixels, at most."""

P_NOISE: Final = 0.5
NOISE_LEVELS: Final = 8.0
"""Standard deviation of the noise, of 255 levels, at most."""

P_JPEG: Final = 0.5
JPEG_QUALITY: Final = (35, 93)


class Camera:
    """Degrades rendered scenes as a phone's camera does. Safe to use from several threads."""

    def __init__(self, settings: SynthSettings, side_px: int) -> None:
        self._light, self._degradation = settings.light, settings.degradation
        self._side = side_px
        noise = np.random.default_rng(0).normal(128, 32, (NOISE_SIDE_PX, NOISE_SIDE_PX, 3))
        self._noise = np.clip(noise, 0, 255).astype(np.uint8)

    def shoot(self, out: Pixels, rng: Rng) -> RGB:
        """Apply light, colour, blur, noise and JPEG, in the order in which they arise."""
        if self._light:
            out = _unevenly_lit(out, UNEVEN_LIGHT * self._light, rng)
        out = _recoloured(out, self._light, rng)
        if rng.random() < P_BLUR * self._degradation:
            out = _blurred(out, BLUR_PX * len(out) / 160, rng)
        if rng.random() < P_NOISE * self._degradation:
            out = self._noisy(out, rng)
        out = np.ascontiguousarray(out)
        if rng.random() < P_JPEG * self._degradation:
            quality = int(rng.integers(*JPEG_QUALITY))
            out = simplejpeg.decode_jpeg(encode_jpeg(out, quality), "RGB", fastdct=True)
        return out

    def _noisy(self, out: Pixels, rng: Rng) -> Pixels:
        level = float(rng.uniform(0, NOISE_LEVELS)) / 32
        y, x = rng.integers(0, NOISE_SIDE_PX - self._side, 2)
        tile = self._noise[y : y + self._side, x : x + self._side]
        noisy = cv2.addWeighted(out, 1.0, tile, level, -128 * level)
        return noisy.astype(np.uint8, copy=False)


def _unevenly_lit(out: Pixels, strength: float, rng: Rng) -> Pixels:
    """Multiply by a smooth field of 3 × 3 gains."""
    field = 128 * (1 + rng.uniform(-1, 1) * strength * rng.uniform(-1, 1, (3, 3)))
    gains = cv2.resize(field.clip(0, 255).astype(np.uint8), out.shape[1::-1])
    lit = cv2.multiply(out, cv2.merge([gains, gains, gains]), scale=1 / 128)
    return lit.astype(np.uint8, copy=False)


def _recoloured(out: Pixels, strength: float, rng: Rng) -> Pixels:
    """Change exposure, white balance, saturation and contrast, as one 3 × 4 matrix."""
    exposure = np.exp(rng.uniform(-1, 1) * np.log1p(EXPOSURE * strength))
    warmth, tint = rng.uniform(-1, 1, 2) * (WHITE_BALANCE * strength)
    gain = exposure * np.array([1 + warmth, 1 + tint / 2, 1 - warmth])
    saturation = 1 + rng.uniform(-1, 1) * (SATURATION * strength)
    contrast = 1 + rng.uniform(-1, 1) * (CONTRAST * strength)
    grey = np.array([0.299, 0.587, 0.114])
    mix = saturation * np.eye(3) + (1 - saturation) * np.tile(grey, (3, 1))
    matrix = (contrast * gain)[:, None] * mix
    offset = np.full((3, 1), 128 * (1 - contrast))
    affine = np.hstack([matrix, offset]).astype(np.float32)
    recoloured: Pixels = cv2.transform(out, affine).astype(np.uint8, copy=False)
    return recoloured


def _blurred(out: Pixels, most_px: float, rng: Rng) -> Pixels:
    """Defocus, motion blur, or low resolution: one of the three."""
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
