"""Layout of line charts: data → coordinates in an SVG, which the template draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_Scale = Callable[[float], float]

WIDTH, HEIGHT = 520, 330
LEFT, RIGHT, TOP_EDGE, BOTTOM = 62, 20, 16, 54
FEW: Final = 8
LABEL_PX: Final = 34
"""Width of a label under the x axis."""


@dataclass(frozen=True, slots=True)
class Point:
    """A measured point; `low` and `high` are the ends of its interval, where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A series of points, ascending in x.

    Attributes:
        reference: somebody else's figures, or an ideal: drawn dashed and hollow.
        kind: lines of one kind have one colour, such as top-1 of ours and of others; where it is
            empty, each line has its own.
    """

    name: str
    points: tuple[Point, ...]
    reference: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over one pair of axes.

    Attributes:
        x_label, y_label: with the unit.
        percent: the values are shares in [0, 1], shown as per cent.
        from_zero: the y axis begins at 0; else near the least value.
        note: caption under the chart.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    percent: bool = True
    from_zero: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of an axis: position in pixels, and label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point in pixels; `low` and `high` are pixels too."""

    x: float
    y: float
    low: float | None
    high: float | None
    says: str


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line in pixels; `look` numbers its style: colour and shape of the points."""

    name: str
    look: int
    reference: bool
    path: str
    band: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """Everything that the template needs; pixels in a box of `WIDTH` × `HEIGHT`."""

    chart: Chart
    lines: tuple[DrawnLine, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    summary: str
    table: tuple[tuple[str, tuple[str, ...]], ...]
    size_wh: tuple[int, int] = (WIDTH, HEIGHT)
    box: tuple[int, int, int, int] = (LEFT, TOP_EDGE, WIDTH - RIGHT, HEIGHT - BOTTOM)


def draw(chart: Chart) -> DrawnChart:
    """Lay a chart out.

    Raises:
        ValueError: it has no point, or a number that is not finite.
    """
    points = [point for line in chart.lines for point in line.points]
    values = [v for p in points for v in (p.x, p.y, p.low, p.high) if v is not None]
    if not points or not all(math.isfinite(value) for value in values):
        raise ValueError(f"expected finite points in the chart {chart.title!r}, got {points[:3]}")
    xs = sorted({point.x for point in points})
    heights = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    x_low, x_high = _spread(xs[0], xs[-1])
    y_low, y_high = _y_range(chart, min(heights), max(heights))

    def x_px(x: float) -> float:
        return round(LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1)

    def y_px(y: float) -> float:
        return round(HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * _plot_height(), 1)

    kinds = list(dict.fromkeys(line.kind or line.name for line in chart.lines))

    def drawn(line: Line) -> DrawnLine:
        look = kinds.index(line.kind or line.name) % FEW
        marks = tuple(
            Mark(
                x_px(p.x),
                y_px(p.y),
                None if p.low is None else y_px(p.low),
                None if p.high is None else y_px(p.high),
                f"{line.name}: {number(p.y, percent=chart.percent)} at "
                f"{_x_label(p.x)}{_said_interval(chart, p)}",
            )
            for p in line.points
        )
        path = " ".join(f"{'L' if at else 'M'}{m.x} {m.y}" for at, m in enumerate(marks))
        return DrawnLine(line.name, look, line.reference, path, _band(marks), marks)

    return DrawnChart(
        chart,
        tuple(drawn(line) for line in chart.lines),
        _x_ticks(xs, x_low, x_high, x_px),
        tuple(Tick(y_px(y), _y_tick(chart, y)) for y in _nice_ticks(y_low, y_high)),
        _summary(chart),
        _table(chart, xs),
    )


def number(value: float, *, percent: bool) -> str:
    """Format a value as in tables."""
    return f"{100 * value:.1f} %" if percent else f"{value:.4g}"


def _plot_height() -> int:
    return HEIGHT - TOP_EDGE - BOTTOM


def _spread(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.04 or 0.5
    return low - margin, high + margin


def _y_range(chart: Chart, low: float, high: float) -> tuple[float, float]:
    if chart.percent:
        top = max(1.0, high)
        floor = 0.0 if chart.from_zero else max(0.0, math.floor((low - 0.02) * 10) / 10)
        step = _step(floor, top)
        return math.floor(floor / step + 1e-9) * step, top
    floor = 0.0 if chart.from_zero and low >= 0 else low
    step = _step(floor, high if high > floor else floor + 1)
    return math.floor(floor / step) * step, math.ceil(max(high, floor + step) / step) * step


def _step(low: float, high: float) -> float:
    """A round distance that divides the range into four to ten parts."""
    power: float = 10 ** math.floor(math.log10((high - low) / 4))
    return next(power * f for f in (1, 2, 2.5, 5, 10) if (high - low) / (power * f) <= 6)


def _nice_ticks(low: float, high: float) -> list[float]:
    step = _step(low, high)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(at * step, 10) for at in range(first, last + 1)]


def _x_ticks(xs: Sequence[float], low: float, high: float, x_px: _Scale) -> tuple[Tick, ...]:
    """Mark the measured values where they are few, and round ones where they are many."""
    few = len(xs) <= FEW
    ticks: list[Tick] = []
    for x in xs if few else _nice_ticks(low, high):
        if not ticks or x_px(x) - ticks[-1].at >= LABEL_PX:
            ticks.append(Tick(x_px(x), _x_label(x)))
    return tuple(ticks)


def _x_label(x: float) -> str:
    return f"{x:,g}"


def _y_tick(chart: Chart, y: float) -> str:
    return f"{100 * y:g} %" if chart.percent else f"{y:g}"


def _said_interval(chart: Chart, point: Point) -> str:
    if point.low is None or point.high is None:
        return ""
    low, high = (number(end, percent=chart.percent) for end in (point.low, point.high))
    return f" ({low} to {high})"


def _band(marks: Sequence[Mark]) -> str:
    """The outline of the intervals, where every point has one and there are several."""
    if len(marks) < 2 or any(mark.low is None or mark.high is None for mark in marks):
        return ""
    upper = [f"{mark.x} {mark.high}" for mark in marks]
    lower = [f"{mark.x} {mark.low}" for mark in reversed(marks)]
    return "M" + " L".join(upper + lower) + " Z"


def _summary(chart: Chart) -> str:
    """Text alternative of the chart, for screen readers."""
    lines = []
    for line in chart.lines:
        if line.points:
            first, last = line.points[0], line.points[-1]
            ends = [f"{number(first.y, percent=chart.percent)} at {_x_label(first.x)}"]
            if last is not first:
                ends.append(f"{number(last.y, percent=chart.percent)} at {_x_label(last.x)}")
            lines.append(f"{line.name}: {' to '.join(ends)}")
    return f"{chart.y_label} by {chart.x_label}. " + "; ".join(lines) + "."


def _table(chart: Chart, xs: Sequence[float]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The same numbers in rows: x, then one cell for each line."""
    cells = [
        {
            point.x: number(point.y, percent=chart.percent) + _said_interval(chart, point)
            for point in line.points
        }
        for line in chart.lines
    ]
    return tuple((_x_label(x), tuple(cell.get(x, "") for cell in cells)) for x in xs)
