"""A drawn hand that holds the product: an occlusion that photos of sellers often have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from satchel.adapt.compose.drawing import Matrix, Placed, Rng
from satchel.arrays import Bytes

SKINS: Final = ((236, 188, 160), (224, 172, 138), (198, 134, 98), (141, 85, 54), (92, 58, 40))
"""Skin colours, RGB; each is varied."""


@dataclass(frozen=True, slots=True)
class Hand:
    """An arm behind the product and fingers over its edge, in scene coordinates."""

    colour: tuple[float, float, float]
    width: float
    root: Matrix
    wrist: Matrix
    tips: tuple[tuple[Matrix, Matrix], ...]

    @classmethod
    def sample(cls, held: Placed, rng: Rng) -> Hand:
        """Draw a hand at random that holds this product."""
        x0, y0, x1, y1 = held.bounds_xyxy
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

    def draw_arm(self, out: Bytes, window: Matrix) -> None:
        """Draw what is behind the product."""
        self._stroke(out, window, self.root, self.wrist, self.width)

    def draw_fingers(self, out: Bytes, window: Matrix) -> None:
        """Draw what is in front of the product."""
        for start, end in self.tips:
            self._stroke(out, window, start, end, self.width * 0.34)

    def _stroke(self, out: Bytes, window: Matrix, start: Matrix, end: Matrix, width: float) -> None:
        """Draw a rounded bar, brighter along its middle."""
        scale = float(np.sqrt(window[0, 0] * window[1, 1]))
        root, tip = (
            [int(v) for v in np.clip((window @ np.array([*point, 1.0]))[:2], -4000, 4000)]
            for point in (start, end)
        )
        for share, shade in ((1.0, 0.72), (0.82, 0.9), (0.5, 1.0)):
            colour = [shade * level for level in self.colour]
            thick = int(np.clip(share * width * scale, 1, 255))
            cv2.line(out, root, tip, colour, thick, cv2.LINE_AA)
