"""Alpha compositing of foregrounds into a scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from satchel.adapt.compose.foreground import RGBA
from satchel.arrays import Bytes

Rng = np.random.Generator
Matrix = npt.NDArray[np.float64]
"""Homography, shape (3, 3): pixels of a foreground, or of the scene, → pixels of the output."""

MOST_SHRUNK = 1.6
"""Reduction from which a foreground is first resized by areas: linear sampling would alias."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A foreground at its place in a scene.

    Attributes:
        sprite: pixels, colours premultiplied by the mask.
        matrix: pixels of the sprite → pixels of the scene.
    """

    sprite: RGBA
    matrix: Matrix

    @property
    def bounds_xyxy(self) -> tuple[float, float, float, float]:
        """The smallest rectangle that holds it: left, top, right, bottom, in scene pixels."""
        height, width = self.sprite.shape[:2]
        corners = np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1.0]])
        x, y, w = self.matrix @ corners
        x, y = x / w, y / w
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def draw(out: Bytes, sprite: RGBA, matrix: Matrix) -> None:
    """Composite a foreground over an image, in place.

    Args:
        out: shape (h, w, 3), uint8.
        sprite: colours premultiplied by the mask.
        matrix: pixels of the sprite → pixels of `out`; pixel (i, j) covers [j, j + 1) × [i, i + 1).
    """
    height, width = out.shape[:2]
    x0, y0, x1, y1 = Placed(sprite, matrix).bounds_xyxy
    left, top = max(0, int(x0)), max(0, int(y0))
    right, bottom = min(width, int(x1) + 1), min(height, int(y1) + 1)
    if right <= left or bottom <= top:
        return
    shrink = max(sprite.shape[1] / max(1.0, x1 - x0), sprite.shape[0] / max(1.0, y1 - y0))
    if shrink > MOST_SHRUNK:
        size_wh = max(2, int(sprite.shape[1] / shrink)), max(2, int(sprite.shape[0] / shrink))
        scale = np.diag([sprite.shape[1] / size_wh[0], sprite.shape[0] / size_wh[1], 1.0])
        sprite = cv2.resize(sprite, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
        matrix = matrix @ scale
    # OpenCV puts a pixel's centre at integer coordinates; here it is half a pixel further.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    back = np.array([[1, 0, -0.5 - left], [0, 1, -0.5 - top], [0, 0, 1.0]])
    warped = cv2.warpPerspective(sprite, back @ matrix @ half, (right - left, bottom - top))
    colours, mask = warped[..., :3], warped[..., 3]
    inverse = cv2.bitwise_not(mask)
    under = out[top:bottom, left:right]
    kept = cv2.multiply(under, cv2.merge([inverse, inverse, inverse]), scale=1 / 255)
    under[:] = cv2.add(kept, np.ascontiguousarray(colours))


def with_shadow(sprite: RGBA, rng: Rng) -> RGBA:
    """Add a soft shadow below the foreground, a little to one side; the result is larger."""
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
    # Over the shadow, which is black, colours stay and masks combine to 1 − (1 − a)(1 − b).
    mask = wide[..., 3]
    under = cv2.multiply(shade, cv2.bitwise_not(mask), scale=strength / 255)
    wide[..., 3] = cv2.add(mask, under)
    return wide.astype(np.uint8, copy=False)


def brightened(sprite: RGBA, gain: float) -> RGBA:
    """Multiply the colours; the mask stays."""
    gains = np.array([gain, gain, gain, 1.0])
    scaled: RGBA = cv2.multiply(sprite, gains).astype(np.uint8, copy=False)
    return scaled
