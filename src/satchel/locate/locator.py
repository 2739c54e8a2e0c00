"""The interface of locators: photo → detected objects; and which of several is the main one."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, sqrt
from typing import Final, Protocol

from satchel.images import RGB
from satchel.records import Box, Detection

OFF_CENTRE: Final = 0.5
"""How much an object in the corner of a photo counts less than one in its centre."""


class Locator(Protocol):
    """Finds the objects in photos. Safe to call from several threads.

    Without a locator, the box of a photo's object comes from the encoder's saliency map: see
    `satchel.locate.saliency`.
    """

    @property
    def id(self) -> str:
        """SHA-256 of its model and settings; embeddings belong to it and to their encoder."""

    @property
    def pad(self) -> float:
        """Share of a box's width and height that its crop shows beyond each side, ≥ 0."""

    def locate(self, photos: Sequence[RGB]) -> list[list[Detection]]:
        """Detect the objects in each photo, best first; none where it shows no product.

        Args:
            photos: upright RGB pixels, of any sizes.
        """


def main_detection(detections: Sequence[Detection]) -> Detection | None:
    """Choose the main object of a photo: as the locator says, else large, central and certain.

    Returns:
        The one with the largest probability of being the main one; where none has one, with the
        largest `prominence`, the first of equal ones; None of none.
    """
    said = [one for one in detections if one.main is not None]
    return max(said or detections, key=lambda one: (one.main or 0.0, prominence(one)), default=None)


def prominence(detection: Detection) -> float:
    """Score × root of the box's area × nearness to the photo's centre; in [0, 1]."""
    box = detection.box
    return detection.score * sqrt(box.width * box.height) * (1 - OFF_CENTRE * _off_centre(box))


def _off_centre(box: Box) -> float:
    """Distance of the box's centre from the photo's: 0 in the centre, 1 in a corner."""
    return hypot(box.x0 + box.x1 - 1, box.y0 + box.y1 - 1) / sqrt(2)
