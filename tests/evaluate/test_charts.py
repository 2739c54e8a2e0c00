from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.evaluate.charts import (
    BOTTOM,
    HEIGHT,
    LABEL_PX,
    LEFT,
    RIGHT,
    TOP_EDGE,
    WIDTH,
    Chart,
    Line,
    Point,
    draw,
)

NUMBER = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))


@given(
    st.lists(st.lists(st.tuples(NUMBER, NUMBER), max_size=12), min_size=1, max_size=3),
    st.booleans(),
)
def test_everything_lies_inside_the_axes(
    series: list[list[tuple[float, float]]], from_zero: bool
) -> None:
    lines = tuple(Line("l", tuple(Point(x, y) for x, y in sorted(points))) for points in series)
    chart = Chart("t", "x", "y", lines, percent=False, from_zero=from_zero)
    if not any(series):
        with pytest.raises(ValueError, match="finite points"):
            draw(chart)
        return
    drawn = draw(chart)
    for line in drawn.lines:
        for mark in line.marks:
            assert LEFT <= mark.x <= WIDTH - RIGHT
            assert TOP_EDGE <= mark.y <= HEIGHT - BOTTOM
    assert 2 <= len(drawn.y_ticks) <= 12
    across = [tick.at for tick in drawn.x_ticks]
    assert all(after - before >= LABEL_PX for before, after in pairwise(across))


def test_top_k_by_hand() -> None:
    line = Line("model", (Point(1, 0.75, 0.7, 0.8), Point(5, 0.95, 0.9, 1.0)))
    drawn = draw(Chart("Top", "k", "right", (line,)))
    # The least value is 70 %, less 2: the axis begins at 60 %, and 100 % is its upper end.
    assert [tick.label for tick in drawn.y_ticks] == ["60 %", "70 %", "80 %", "90 %", "100 %"]
    assert drawn.y_ticks[-1].at == TOP_EDGE
    assert [tick.label for tick in drawn.x_ticks] == ["1", "5"]
    assert drawn.table[0] == ("1", ("75.0 % (70.0 % to 80.0 %)",))
    assert drawn.summary == "right by k. model: 75.0 % at 1 to 95.0 % at 5."
    assert drawn.lines[0].band.count("L") == 3


def test_lines_of_one_kind_have_one_colour() -> None:
    point = (Point(1, 0.5),)
    lines = (
        Line("ours 1", point, kind="top-1"),
        Line("ours 5", point, kind="top-5"),
        Line("theirs 5", point, reference=True, kind="top-5"),
        Line("other", point),
    )
    assert [line.look for line in draw(Chart("t", "x", "y", lines)).lines] == [0, 1, 1, 2]


def test_a_number_that_is_none() -> None:
    with pytest.raises(ValueError, match="finite points"):
        draw(Chart("Loss", "epoch", "loss", (Line("train", (Point(1, math.nan),)),)))
