"""What a query shows of its photo: the main good alone, or all of it."""

from __future__ import annotations

from typing import Final

from satchel.images import RGB
from satchel.locate.background import even_background
from satchel.records import WHOLE_PHOTO, Box, Detection

CERTAIN: Final = 0.4
"""Probability of a main good from which a query shows it alone: a wrong crop shows none of it."""

LARGE: Final = 0.2
"""Share of a studio photo from which a good is large enough for the whole photo to be shown."""


def query_box(photo: RGB, main: Detection | None) -> Box:
    """The part of a photo that identification looks at.

    Around a good there may be anything, so it is cut out. A studio photo, with an even background,
    shows nothing else, and a crop of it would lose what a garment's wearer tells. Measured in
    docs/decisions/0025-built-in-detector.md.

    Args:
        photo: upright RGB pixels.
        main: the main good that was detected, if any.
    """
    if main is None or (main.main is not None and main.main < CERTAIN):
        return WHOLE_PHOTO
    if main.box.width * main.box.height >= LARGE and even_background(photo):
        return WHOLE_PHOTO
    return main.box
