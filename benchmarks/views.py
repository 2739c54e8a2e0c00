"""A gallery picture as a seller might have photographed it: a cheap stand-in for real photos.

Used where a catalogue has no photos to calibrate on but its own. Each view changes place, scale,
angle, perspective, light, colour and sharpness, and puts a plain background's picture before
another one. Real photos differ from gallery pictures in more ways than these, so what is measured
on views flatters; docs/decisions/0011-honest-answers.md says by how much.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from satchel.images import RGB

SIDE_PX: Final = 320
PLAIN: Final = 12
"""Largest distance, in levels, of a pixel from its corner's colour that still is background."""


def seller_view(picture: RGB, rng: np.random.Generator) -> RGB:
    """Compose one view of a gallery picture.

    Args:
        picture: shape (h, w, 3), uint8, RGB, upright.
        rng: decides everything that chance decides.

    Returns:
        shape (`SIDE_PX`, `SIDE_PX`, 3), uint8.
    """
    mask = _foreground(picture)
    warp = _warp(picture.shape[1], picture.shape[0], mask, rng)
    size = (SIDE_PX, SIDE_PX)
    alpha = cv2.warpPerspective(mask, warp, size, flags=cv2.INTER_AREA)[..., None] / 255.0
    shown = cv2.warpPerspective(picture, warp, size, flags=cv2.INTER_AREA).astype(np.float32)
    composed = alpha * shown + (1 - alpha) * _background(rng)
    return _camera(composed, rng)


def _foreground(picture: RGB) -> npt.NDArray[np.uint8]:
    """Mask of what is not the plain ground around the object; everything where there is none."""
    height, width = picture.shape[:2]
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    mask = np.full((height, width), 255, np.uint8)
    if np.ptp(corners, axis=0).max() > PLAIN:
        return mask
    filled = np.zeros((height + 2, width + 2), np.uint8)
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        cv2.floodFill(
            picture.copy(),
            filled,
            (x, y),
            0,
            (PLAIN,) * 3,
            (PLAIN,) * 3,
            4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | 255 << 8,
        )
    inside = 255 - filled[1:-1, 1:-1]
    if (inside > 0).mean() < 0.05:
        return mask
    return np.asarray(cv2.erode(inside, np.ones((3, 3), np.uint8)), np.uint8)


def _warp(
    width: int, height: int, mask: npt.NDArray[np.uint8], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Perspective that puts the masked object somewhere in the view, turned and tilted."""
    x, y, w, h = cv2.boundingRect(mask)
    corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)
    scale = SIDE_PX * rng.uniform(0.4, 0.95) / max(w, h)
    angle = np.deg2rad(rng.normal(0, 15))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centred = (corners - corners.mean(0)) * scale
    tilted = centred * (1 + rng.normal(0, 0.08, (4, 2)))
    place = SIDE_PX / 2 + rng.uniform(-0.12, 0.12, 2) * SIDE_PX
    moved = (tilted @ turn.T + place).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64)


def _background(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A cluttered ground: noise of three scales in colours of its own, and a few blocks."""
    ground = np.zeros((SIDE_PX, SIDE_PX, 3), np.float32)
    for cells, weight in ((2, 60), (8, 35), (40, 20)):
        noise = rng.normal(0, weight, (cells, cells, 3)).astype(np.float32)
        ground += cv2.resize(noise, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    ground += rng.uniform(60, 200, 3).astype(np.float32)
    for _ in range(int(rng.integers(0, 7))):
        (x0, y0), (x1, y1) = rng.integers(0, SIDE_PX, (2, 2)).tolist()
        colour = rng.uniform(0, 255, 3).tolist()
        cv2.rectangle(ground, (x0, y0), (x1, y1), colour, -1)
    return ground


def _camera(composed: npt.NDArray[np.float32], rng: np.random.Generator) -> RGB:
    """Uneven light, white balance, contrast, blur and noise."""
    slope = rng.normal(0, 0.25, 2)
    axis = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)
    light = 1 + slope[0] * axis[:, None, None] + slope[1] * axis[None, :, None]
    tint = np.exp(rng.normal(0, 0.10, 3))
    exposed = composed * light * tint * np.exp(rng.normal(0, 0.25))
    contrast = np.exp(rng.normal(0, 0.2))
    exposed = (exposed - 128) * contrast + 128
    blurred = cv2.GaussianBlur(exposed, (0, 0), rng.uniform(0.3, 2.0))
    noisy = blurred + rng.normal(0, rng.uniform(1, 8), blurred.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)
