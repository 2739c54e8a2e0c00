from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.annotate.suggest import (
    UnlabelledPhoto,
    choose,
    contradiction,
    teaching_value,
)
from satchel.records import Box, Detection

LEFT, RIGHT = Box(0, 0, 0.4, 1), Box(0.6, 0, 1, 1)


def test_what_a_photo_would_teach() -> None:
    sure = Detection(LEFT, "bag", 0.9)
    assert teaching_value([]) == 1
    assert teaching_value([sure]) == pytest.approx(0.1)
    assert teaching_value([Detection(LEFT, "bag", 0.3)]) == pytest.approx(0.7)
    # another good elsewhere is no contradiction, another class of the same place is one
    assert teaching_value([sure, Detection(RIGHT, "shoe", 0.8)]) == pytest.approx(0.1)
    assert teaching_value([sure, Detection(LEFT, "hat", 0.9)]) == 1
    assert teaching_value([Detection(LEFT, "hat", 0.45), sure]) == pytest.approx(1 - 0.9 / 2)


def test_boxes_that_overlap_by_half_contradict_most() -> None:
    best = Detection(Box(0, 0, 1, 1), "bag", 0.8)
    values = [
        contradiction(best, Detection(Box(0, 0, width, 1), "bag", 0.8))
        for width in (0.1, 0.3, 0.5, 0.7, 0.99)
    ]
    assert max(values) == values[2] == 1
    assert values == pytest.approx([4 * w * (1 - w) for w in (0.1, 0.3, 0.5, 0.7, 0.99)])


def test_intersection_over_union() -> None:
    assert LEFT.iou(RIGHT) == 0
    assert LEFT.iou(LEFT) == 1
    # areas 0.4 and 0.4, 0.2 in common
    assert LEFT.iou(Box(0.2, 0, 0.6, 1)) == pytest.approx(0.2 / 0.6)


def test_products_and_categories_take_turns() -> None:
    photos = [UnlabelledPhoto(f"{code}{n}", code, "bag", 0.9) for code in "ab" for n in range(3)]
    photos += [UnlabelledPhoto("c0", "c", "shoe", 0.5)]
    assert [one.photo for one in choose(photos, 4)] == ["a0", "b0", "c0", "a1"]
    assert [one.photo for one in choose(photos, 2, [("a", "bag")])] == ["b0", "c0"]
    assert len(choose(photos, 99)) == 7
    assert choose([], 3) == []


photos = st.lists(
    st.builds(
        UnlabelledPhoto,
        st.uuids().map(str),
        st.sampled_from("abc"),
        st.sampled_from([None, "bag", "shoe"]),
        st.floats(0, 1),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(photos, st.integers(0, 8), st.lists(st.tuples(st.sampled_from("ab"), st.just("bag"))))
def test_choice_is_the_greedy_one(photos, count, labelled) -> None:
    left, taken = list(photos), list(labelled)
    expected: list[UnlabelledPhoto] = []
    while left and len(expected) < count:
        gains = [
            one.value
            / (
                (1 + sum(code == one.code for code, _ in taken))
                * sqrt(1 + sum(category == one.category for _, category in taken))
            )
            for one in left
        ]
        best = left.pop(gains.index(max(gains)))
        expected.append(best)
        taken.append((best.code, best.category))
    assert choose(photos, count, labelled) == expected


@given(
    st.lists(
        st.builds(
            Detection,
            st.tuples(st.floats(0, 0.4), st.floats(0.5, 1)).map(lambda x: Box(x[0], 0.1, x[1], 1)),
            st.sampled_from(["bag", "shoe", None]),
            st.floats(0, 1),
        ),
        max_size=5,
    )
)
def test_values_are_shares(detections) -> None:
    assert 0 <= teaching_value(detections) <= 1
