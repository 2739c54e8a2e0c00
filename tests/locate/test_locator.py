from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.locate.locator import main_detection, prominence
from satchel.records import WHOLE_PHOTO, Box, Detection

CENTRE = Detection(Box(0.3, 0.3, 0.7, 0.7), "bag", 0.8)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, x1 = sorted(draw(st.lists(st.integers(0, 100), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(draw(st.lists(st.integers(0, 100), min_size=2, max_size=2, unique=True)))
    return Box(x0 / 100, y0 / 100, x1 / 100, y1 / 100)


def test_prominence_by_hand() -> None:
    # 0.8 × √(0.4 × 0.4) in the centre; a corner's box of the same size is 0.3 √2 off of 0.5 √2.
    assert prominence(CENTRE) == pytest.approx(0.8 * 0.4)
    corner = Detection(Box(0, 0, 0.4, 0.4), "bag", 0.8)
    assert prominence(corner) == pytest.approx(0.8 * 0.4 * (1 - 0.5 * 0.6))


@pytest.mark.parametrize(
    "less",
    [
        Detection(Box(0.4, 0.4, 0.6, 0.6), "bag", 0.8),  # smaller
        Detection(Box(0.6, 0.6, 1.0, 1.0), "bag", 0.8),  # in a corner
        Detection(Box(0.3, 0.3, 0.7, 0.7), "bag", 0.7),  # less certain
    ],
)
def test_the_large_central_certain_one_is_the_main_one(less: Detection) -> None:
    assert main_detection([less, CENTRE]) is CENTRE
    assert main_detection([CENTRE, less]) is CENTRE


def test_none_of_none() -> None:
    assert main_detection([]) is None


@given(boxes(), st.floats(0, 1))
def test_prominence_is_a_share(box: Box, score: float) -> None:
    found = prominence(Detection(box, None, score))
    assert 0 <= found <= 1
    assert found <= prominence(Detection(WHOLE_PHOTO, None, score)) + 1e-9


@given(boxes(), st.floats(0, 3))
def test_padding_keeps_the_box_and_stays_in_the_photo(box: Box, share: float) -> None:
    padded = box.padded(share)
    assert padded.x0 <= box.x0 < box.x1 <= padded.x1
    assert padded.y0 <= box.y0 < box.y1 <= padded.y1
    if padded.x0 > 0 and padded.x1 < 1:
        assert math.isclose(padded.width, box.width * (1 + 2 * share), rel_tol=1e-9)
