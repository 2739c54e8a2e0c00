"""What a query shows of its photo: the main good alone, all of it, or both."""

from __future__ import annotations

from typing import Final

from satchel.images import RGB
from satchel.locate.background import even_background
from satchel.records import Detection

SURE: Final = 0.95
"""Probability of a main good from which a query shows it alone."""

PROBABLE: Final = 0.8
POSSIBLE: Final = 0.4
"""Below, a query shows all of its photo."""

PROBABLE_SHARE: Final = 0.3
POSSIBLE_SHARE: Final = 0.6
"""Share of the whole photo in a query, where the main good is probable, or no more than possible: a
wrong crop shows none of it."""

LARGE: Final = 0.2
"""Share of a studio photo from which a good is large enough for the whole photo to be shown."""


def whole_share(photo: RGB, main: Detection | None) -> float:
    """The share of the whole photo in a query; the rest is the main good's crop.

    Around a good there may be anything, so it is cut out, the more certainly it is the main one. A
    studio photo, with an even background, shows nothing else, and a crop of it would lose what a
    garment's wearer tells. Measured in docs/decisions/0025-built-in-detector.md.

    Args:
        photo: upright RGB pixels.
        main: the main good that was detected, if any.

    Returns:
        in [0, 1]; 1 for the whole photo alone.
    """
    if main is None or (main.main is not None and main.main < POSSIBLE):
        return 1.0
    if main.box.width * main.box.height >= LARGE and even_background(photo):
        return 1.0
    if main.main is None or main.main < PROBABLE:  # a detector without a main good is not sure
        return POSSIBLE_SHARE
    return PROBABLE_SHARE if main.main < SURE else 0.0
