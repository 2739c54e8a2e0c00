"""Checks of what annotation files hold: coordinates, labels, sizes. Nothing in them is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from satchel.records import Box

MIN_SIDE_PX: Final = 0.5
"""A box that is thinner than this is a slip of the mouse."""

MIN_INSIDE: Final = 0.5
"""Least share of a box's area inside the photo; the rest is clipped."""

MAX_BOXES: Final = 10_000
"""Of one photo."""
MAX_SIDE_PX: Final = 100_000
MAX_LABEL_CHARS: Final = 200
MAX_VALUE_CHARS: Final = 4_000
MAX_ATTRIBUTES: Final = 100


class BadAnnotation(ValueError):
    """One box, or one photo, cannot be used; the message says why."""


def pixel_box(corners: Sequence[float], width: int, height: int) -> Box:
    """Return a box from its edges in pixels; see `box_of`."""
    return box_of(corners, width, height, least=MIN_SIDE_PX)


def box_of(
    corners: Sequence[float], width: float = 1, height: float = 1, *, least: float = 0
) -> Box:
    """Return a box from its left, top, right and bottom edge.

    A box that juts out of the photo by less than half its area is clipped to it.

    Args:
        corners: in the unit of `width` and `height`.
        width, height: of the photo; 1 where corners are fractions.
        least: width and height of a box must be above it.

    Raises:
        BadAnnotation: the box has no area, is mostly outside the photo, or is no box at all.
    """
    shown = ", ".join(f"{value:g}" for value in corners)
    if len(corners) != 4 or not all(map(math.isfinite, corners)):
        raise BadAnnotation(f"expected four finite numbers, got ({shown})")
    x0, y0, x1, y1 = corners
    if x1 - x0 <= least or y1 - y0 <= least:
        raise BadAnnotation(
            f"the box has no area: left, top, right, bottom = ({shown}); draw it again"
        )
    inside = [max(0.0, x0), max(0.0, y0), min(width, x1), min(height, y1)]
    sides = inside[2] - inside[0], inside[3] - inside[1]
    outside = min(sides) <= 0 or sides[0] * sides[1] < MIN_INSIDE * (x1 - x0) * (y1 - y0)
    if outside:
        size = f" of {width:g} × {height:g}" if width != 1 or height != 1 else ""
        raise BadAnnotation(
            f"the box ({shown}) is outside the photo{size}; draw it again, or check that the file "
            "belongs to these photos"
        )
    try:
        return Box(
            inside[0] / width,
            inside[1] / height,
            min(1.0, inside[2] / width),
            min(1.0, inside[3] / height),
        )
    except ValueError:  # so thin that dividing makes it vanish
        raise BadAnnotation(f"the box has no area: ({shown}); draw it again") from None


def bounds(points: Iterable[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return the upright rectangle around points.

    Raises:
        BadAnnotation: there is none.
    """
    pairs = list(points)
    if not pairs:
        raise BadAnnotation("expected the points of an outline, got none")
    xs, ys = zip(*pairs, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def rotated_bounds(
    corners: Sequence[float], degrees: float, pivot: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return the upright rectangle around a box that is turned clockwise about `pivot`."""
    x0, y0, x1, y1 = corners
    if not degrees:
        return x0, y0, x1, y1
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    px, py = pivot
    return bounds(
        (px + (x - px) * cos - (y - py) * sin, py + (x - px) * sin + (y - py) * cos)
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    )


def number(value: Any, what: str) -> float:
    """Return a number from a file.

    Raises:
        BadAnnotation: it is none, or not finite.
    """
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        parsed = math.nan
    if isinstance(value, bool) or not math.isfinite(parsed):
        raise BadAnnotation(f"expected a number as {what}, got {_shown(value)}")
    return parsed


def size_px(value: Any, what: str) -> int:
    """Return a photo's width or height.

    Raises:
        BadAnnotation: it is no whole number of pixels.
    """
    size = number(value, f"the photo's {what} in pixels")
    if size != int(size) or not 0 < size <= MAX_SIDE_PX:
        raise BadAnnotation(f"expected the photo's {what} in pixels, got {_shown(value)}")
    return int(size)


def score_of(value: Any) -> float:
    """Return the score of a pre-label.

    Raises:
        BadAnnotation: it is not in [0, 1].
    """
    score = number(value, "score")
    if not 0 <= score <= 1:
        raise BadAnnotation(f"expected a score in [0, 1], got {score:g}")
    return score


def text(value: Any, what: str, limit: int = MAX_LABEL_CHARS) -> str:
    """Return a short text from a file, trimmed.

    Raises:
        BadAnnotation: it is none, is empty, too long, or holds control characters.
    """
    stripped = value.strip() if isinstance(value, str) else ""
    if not stripped:
        raise BadAnnotation(f"expected a {what}, got {_shown(value)}")
    if len(stripped) > limit:
        raise BadAnnotation(
            f"expected a {what} of at most {limit:,} characters, got {len(stripped):,}"
        )
    if not stripped.isprintable():
        raise BadAnnotation(f"expected a {what} that can be printed, got {_shown(stripped)}")
    return stripped


def attributes_of(values: Any) -> dict[str, str]:
    """Return a box's further values as text; numbers and truth values are written as JSON does.

    Raises:
        BadAnnotation: they are no table, or too many or too long.
    """
    if not values:
        return {}
    if not isinstance(values, Mapping) or len(values) > MAX_ATTRIBUTES:
        raise BadAnnotation(f"expected at most {MAX_ATTRIBUTES} attributes with names")
    return {
        text(name, "attribute's name"): _value(value)
        for name, value in values.items()
        if value is not None
    }


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)):
        raise BadAnnotation(f"expected an attribute that is text, got {_shown(value)}")
    found = str(value)
    if len(found) > MAX_VALUE_CHARS:
        raise BadAnnotation(f"expected attributes of at most {MAX_VALUE_CHARS:,} characters")
    return found


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"
