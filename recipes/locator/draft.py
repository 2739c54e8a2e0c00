"""A scene before the camera: pixels, and the boxes of its goods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from satchel.adapt.compose.drawing import Rng
from satchel.arrays import Bytes, Doubles, Floats, Ints

PROPORTIONS: Final = (3 / 4, 3 / 4, 3 / 4, 4 / 3, 1.0, 9 / 16, 2 / 3)
"""Width by height of scenes: phones are mostly held upright."""

LEAST_SIDE_PX: Final = 6
LEAST_VISIBLE: Final = 0.4
"""A good that is smaller, or cut off further, has no box, unless it is the main one."""

LabelledBox = tuple[Doubles, int]
"""Shape (4,), xyxy in pixels, maybe beyond the scene; and the place of its class."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A scene before the camera.

    Attributes:
        canvas: shape (h, w, 3), uint8.
        main: which of the boxes is the main good's.
    """

    canvas: Bytes
    boxes: list[LabelledBox]
    main: int

    def mirrored(self) -> Draft:
        """Left and right exchanged."""
        width = self.canvas.shape[1]
        boxes = [
            (np.array([width - box[2], box[1], width - box[0], box[3]]), label)
            for box, label in self.boxes
        ]
        return replace(self, canvas=np.ascontiguousarray(self.canvas[:, ::-1]), boxes=boxes)

    def visible(self) -> tuple[Floats, Ints]:
        """Boxes, shape (n, 4), float32, clipped to the scene, the main one first; their labels."""
        limits = np.tile(self.canvas.shape[1::-1], 2)
        order = sorted(range(len(self.boxes)), key=lambda place: place != self.main)
        boxes = np.stack([self.boxes[place][0] for place in order])
        labels = np.array([self.boxes[place][1] for place in order], np.int64)
        clipped = np.clip(boxes, 0, limits)
        sides = clipped[:, 2:] - clipped[:, :2]
        shown = sides.prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)
        kept = (sides.min(1) >= LEAST_SIDE_PX) & (shown >= LEAST_VISIBLE)
        kept[0] = True
        return clipped[kept].astype(np.float32), labels[kept]


def random_frame(side_px: int, rng: Rng) -> tuple[int, int]:
    """Width and height of a scene, the longer `side_px`."""
    proportion = float(rng.choice(PROPORTIONS))
    if proportion < 1:
        return round(side_px * proportion), side_px
    return side_px, round(side_px / proportion)
