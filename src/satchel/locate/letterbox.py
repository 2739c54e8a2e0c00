"""Photo → input of a detector, and its boxes back to the photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from satchel.arrays import Floats
from satchel.images import RGB
from satchel.locate.card import LocatorCard


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a photo lies in a detector's input: in the top left corner, resized.

    Attributes:
        card: of the detector.
        height_px, width_px: of the resized photo.
    """

    card: LocatorCard
    height_px: int
    width_px: int

    @classmethod
    def of(cls, card: LocatorCard, photo: RGB) -> Letterbox:
        """Place a photo, shape (h, w, 3): in its own proportions, or stretched to the input."""
        if card.fit == "stretch":
            return cls(card, card.height_px, card.width_px)
        height, width = photo.shape[:2]
        scale = min(card.height_px / height, card.width_px / width)
        return cls(
            card,
            min(card.height_px, max(1, round(height * scale))),
            min(card.width_px, max(1, round(width * scale))),
        )

    def pixels(self, photo: RGB) -> Floats:
        """The detector's input, shape (1, 3, height, width), float32."""
        card = self.card
        shrinks = photo.shape[0] > self.height_px
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        canvas = np.full((card.height_px, card.width_px, 3), card.pad_value, np.uint8)
        canvas[: self.height_px, : self.width_px] = cv2.resize(
            photo, (self.width_px, self.height_px), interpolation=method
        )
        if card.colour_order == "bgr":
            canvas = canvas[..., ::-1]
        values = canvas.astype(np.float32)
        if any(card.mean) or card.std != (1.0, 1.0, 1.0):
            values -= np.array(card.mean, np.float32)
            values /= np.array(card.std, np.float32)
        planes: Floats = np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)
        return planes

    def fractions(self, boxes_px: Floats) -> Floats:
        """Boxes, shape (n, 4), in pixels of the input → fractions of the photo, unclipped."""
        size = np.array([self.width_px, self.height_px] * 2, np.float32)
        boxes: Floats = boxes_px / size
        return boxes
