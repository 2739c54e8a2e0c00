"""Boxes that people give: read, checked and brought into the photo.

A box is `x0,y0,x1,y1`, from the top left of the upright photo: fractions of its width and height,
or pixels with `px` at the end (`120,80,640,900px`). What reaches beyond the photo is cut off; a box
of which nothing is left, or hardly anything, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from satchel.errors import BadBox
from satchel.records import Box
from satchel.text import printable

LEAST_PX: Final = 8
"""Least width and height, in pixels, of a box clipped to its photo."""

FARTHEST: Final = 2.0
"""Fractions beyond −1 and this are meant as pixels; a hand that slips reaches less far."""

MAX_CHARS: Final = 200
NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
EXPECTED: Final = (
    "expected a box x0,y0,x1,y1 from the top left, as fractions such as 0.1,0.2,0.8,0.9 or as "
    "pixels such as 120,80,640,900px"
)


@dataclass(frozen=True, slots=True)
class GivenBox:
    """A box as it was given: finite numbers, in order, maybe reaching beyond the photo.

    Attributes:
        corners: left, top, right, bottom.
        pixels: whether these are pixels, else fractions.

    Raises:
        BadBox: a number is missing, not finite or far outside, or the corners are out of order.
    """

    corners: tuple[float, float, float, float]
    pixels: bool = False

    def __post_init__(self) -> None:
        if len(self.corners) != 4 or not all(map(isfinite, self.corners)):
            raise BadBox(f"{EXPECTED}; got {self}")
        x0, y0, x1, y1 = self.corners
        if not (x0 < x1 and y0 < y1):
            raise BadBox(
                f"expected a box whose left is less than its right and whose top is less than its "
                f"bottom, got {self}"
            )
        if not self.pixels and not all(-1 <= one <= FARTHEST for one in self.corners):
            raise BadBox(f"{EXPECTED}; got {self}, which is far outside: for pixels add px")

    def __str__(self) -> str:
        numbers = ",".join(f"{one:g}" for one in self.corners)
        return numbers + ("px" if self.pixels else "")

    def on(self, height: int, width: int) -> Box:
        """Cut the box to a photo of this many pixels, and give it as fractions of it.

        Raises:
            BadBox: too little of it lies on the photo.
        """
        scale = (width, height, width, height) if self.pixels else (1, 1, 1, 1)
        x0, y0, x1, y1 = (
            min(1.0, max(0.0, one / by)) for one, by in zip(self.corners, scale, strict=True)
        )
        across, down = (x1 - x0) * width, (y1 - y0) * height
        if across < min(LEAST_PX, width) or down < min(LEAST_PX, height):
            raise BadBox(
                f"expected a box with at least {LEAST_PX} × {LEAST_PX} pixels of the photo, which "
                f"has {width} × {height}; {self} has {across:.0f} × {down:.0f} of them"
            )
        return Box(x0, y0, x1, y1)


BoxLike = GivenBox | Box | Sequence[float] | str
"""A box as callers give it: four fractions, or a text as `parse_box` reads it."""


def parse_box(text: str) -> GivenBox:
    """Read `x0,y0,x1,y1`, or with `px` at the end; spaces do not matter.

    Raises:
        BadBox: it is not of this form; see `GivenBox`.
    """
    plain = text.strip().lower() if len(text) <= MAX_CHARS else ""
    numbers = [one.strip() for one in plain.removesuffix("px").split(",")]
    if len(numbers) != 4 or not all(map(NUMBER.fullmatch, numbers)):
        raise BadBox(f"{EXPECTED}; got {printable(text[:MAX_CHARS])!r}")
    x0, y0, x1, y1 = map(float, numbers)
    return GivenBox((x0, y0, x1, y1), plain.endswith("px"))


def given_box(box: BoxLike) -> GivenBox:
    """Convert a box; numbers are fractions.

    Raises:
        BadBox: it is none.
    """
    match box:
        case GivenBox():
            return box
        case Box():
            return GivenBox(box.xyxy)
        case str():
            return parse_box(box)
    try:
        x0, y0, x1, y1 = map(float, box)
    except (TypeError, ValueError):
        raise BadBox(f"{EXPECTED}; got {printable(repr(box)[:MAX_CHARS])}") from None
    return GivenBox((x0, y0, x1, y1))
