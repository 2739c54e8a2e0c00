"""What identification compares: the main good, the whole photo, or both."""

from __future__ import annotations

import numpy as np
import pytest

from satchel.images import RGB
from satchel.locate.background import even_background
from satchel.locate.query_share import LARGE, whole_share
from satchel.records import Box, Detection

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


@pytest.mark.parametrize(
    ("main", "share"), [(0.99, 0), (0.95, 0), (0.9, 0.3), (0.8, 0.3), (0.5, 0.6), (0.39, 1)]
)
def test_the_surer_the_good_the_more_it_counts(main: float, share: float) -> None:
    assert whole_share(street(), Detection(LARGE_BOX, "bag", 0.9, main)) == share


def test_a_detector_that_knows_no_main_good_is_not_sure_of_it() -> None:
    assert whole_share(street(), Detection(LARGE_BOX, "bag", 0.9)) == 0.6
    assert whole_share(street(), None) == 1


def test_a_studio_photo_stays_whole_unless_the_good_in_it_is_small() -> None:
    assert LARGE_BOX.width * LARGE_BOX.height >= LARGE > SMALL_BOX.width * SMALL_BOX.height
    assert whole_share(studio(), Detection(LARGE_BOX, "bag", 0.9, 0.99)) == 1
    assert whole_share(studio(SMALL_BOX), Detection(SMALL_BOX, "bag", 0.9, 0.99)) == 0
