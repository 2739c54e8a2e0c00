"""Boxes that people give."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.errors import BadBox
from satchel.locate.given import LEAST_PX, GivenBox, given_box, parse_box
from satchel.records import Box


@pytest.mark.parametrize(
    ("text", "corners", "pixels"),
    [
        ("0.1,0.2,0.8,0.9", (0.1, 0.2, 0.8, 0.9), False),
        (" .1 , 2e-1,0.8, 1. ", (0.1, 0.2, 0.8, 1.0), False),
        ("0,0,1,1", (0, 0, 1, 1), False),
        ("-0.5,0,1.5,1", (-0.5, 0, 1.5, 1), False),
        ("120,80,640,900px", (120, 80, 640, 900), True),
        ("-5, 0, 640.5, 900 PX", (-5, 0, 640.5, 900), True),
    ],
)
def test_boxes_that_are_read(text: str, corners: tuple[float, ...], pixels: bool) -> None:
    assert parse_box(text) == GivenBox(corners, pixels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "0.1,0.2,0.8", "0.1,0.2,0.8,0.9,1", "a,b,c,d", "0.1;0.2;0.8;0.9", ",,,"),
        *("nan,0,1,1", "0,0,inf,1", "0,0,1e999,1px", "0x1,0,1,1", "1_0,0,20,20px", "١,0,2,2px"),
        *("0.8,0.2,0.1,0.9", "0.1,0.9,0.8,0.2", "0.5,0,0.5,1", "0,0,0,0px"),  # inverted, no area
        *("120,80,640,900", "-3,0,1,1"),  # pixels without px
        *("9" * 500, "\x1b[2J,0,1,1"),
    ],
)
def test_boxes_that_are_refused(text: str) -> None:
    with pytest.raises(BadBox, match=r"^expected") as caught:
        parse_box(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_numbers_without_px_are_said_to_be_far_outside() -> None:
    with pytest.raises(BadBox, match="for pixels add px"):
        parse_box("120,80,640,900")


@pytest.mark.parametrize("box", [None, 5, (1, 2, 3), ("a", 0, 1, 1), (0, 0, float("nan"), 1)])
def test_values_that_are_no_boxes(box: object) -> None:
    with pytest.raises(BadBox):
        given_box(box)  # type: ignore[arg-type]


def test_values_that_are_boxes() -> None:
    expected = GivenBox((0.1, 0.2, 0.8, 0.9))
    for box in (expected, Box(0.1, 0.2, 0.8, 0.9), [0.1, 0.2, 0.8, 0.9], "0.1,0.2,0.8,0.9"):
        assert given_box(box) == expected


def test_what_reaches_beyond_the_photo_is_cut_off() -> None:
    assert parse_box("-0.5,0.25,0.5,1.5").on(100, 200) == Box(0, 0.25, 0.5, 1)
    assert parse_box("-10,25,100,999px").on(100, 200) == Box(0, 0.25, 0.5, 1)
    assert parse_box("0,0,200,100px").on(100, 200) == Box(0, 0, 1, 1)


@pytest.mark.parametrize("text", ["1.1,0,1.5,1", "-0.9,0,-0.1,1", "300,0,400,100px", "0,0,3,99px"])
def test_a_box_of_which_nothing_is_on_the_photo(text: str) -> None:
    with pytest.raises(BadBox, match="pixels of the photo, which has 200 × 100"):
        parse_box(text).on(100, 200)


def test_a_whole_photo_that_is_smaller_than_the_least_box() -> None:
    assert parse_box("0,0,1,1").on(1, 3) == Box(0, 0, 1, 1)


@settings(max_examples=200)
@given(
    st.tuples(*[st.floats(-1, 2)] * 4), st.integers(1, 5000), st.integers(1, 5000), st.booleans()
)
def test_every_box_is_on_the_photo_or_refused(
    numbers: tuple[float, float, float, float], height: int, width: int, pixels: bool
) -> None:
    scale = (width, height, width, height) if pixels else (1, 1, 1, 1)
    x0, y0, x1, y1 = (one * by for one, by in zip(numbers, scale, strict=True))
    try:
        box = GivenBox((x0, y0, x1, y1), pixels).on(height, width)
    except BadBox:
        return
    assert box.width * width >= min(LEAST_PX, width) - 1e-6
    assert box.height * height >= min(LEAST_PX, height) - 1e-6
    assert box.x0 == pytest.approx(max(0.0, x0 / scale[0]))
    assert box.y1 == pytest.approx(min(1.0, y1 / scale[1]))
