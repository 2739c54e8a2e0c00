"""What identification looks at: the main good, or the whole photo."""

from __future__ import annotations

import numpy as np

from satchel.images import RGB
from satchel.locate.background import even_background
from satchel.locate.query_box import CERTAIN, LARGE, query_box
from satchel.records import WHOLE_PHOTO, Box, Detection

LARGE_BOX = Box(0.2, 0.2, 0.8, 0.8)
SMALL_BOX = Box(0.4, 0.4, 0.6, 0.6)


def studio(good: Box = LARGE_BOX) -> RGB:
    """A good on white paper, whose levels differ a little."""
    photo = np.random.default_rng(0).integers(246, 251, (200, 160, 3), dtype=np.uint8)
    y0, y1 = int(good.y0 * 200), int(good.y1 * 200)
    x0, x1 = int(good.x0 * 160), int(good.x1 * 160)
    photo[y0:y1, x0:x1] = (120, 40, 30)
    return photo


def street() -> RGB:
    return np.random.default_rng(0).integers(0, 255, (200, 160, 3), dtype=np.uint8)


def test_a_studio_photo_is_even_and_a_street_is_not() -> None:
    assert even_background(studio())
    assert even_background(255 - studio())
    assert not even_background(street())


def test_a_good_cut_off_by_the_side_leaves_the_background_even() -> None:
    assert even_background(studio(Box(0.2, 0.3, 0.8, 1.0)))
    photo = street()
    photo[:20] = 250  # what is left of the background
    assert not even_background(photo)


def test_a_good_on_the_street_is_cut_out() -> None:
    assert query_box(street(), Detection(LARGE_BOX, "bag", 0.9, CERTAIN)) == LARGE_BOX
    assert query_box(street(), Detection(LARGE_BOX, "bag", 0.9)) == LARGE_BOX


def test_what_is_uncertain_or_missing_leaves_the_photo_whole() -> None:
    assert query_box(street(), Detection(LARGE_BOX, "bag", 0.9, CERTAIN - 0.01)) == WHOLE_PHOTO
    assert query_box(street(), None) == WHOLE_PHOTO


def test_a_studio_photo_stays_whole_unless_the_good_in_it_is_small() -> None:
    assert LARGE_BOX.width * LARGE_BOX.height >= LARGE > SMALL_BOX.width * SMALL_BOX.height
    assert query_box(studio(), Detection(LARGE_BOX, "bag", 0.9, 0.9)) == WHOLE_PHOTO
    assert query_box(studio(SMALL_BOX), Detection(SMALL_BOX, "bag", 0.9, 0.9)) == SMALL_BOX
