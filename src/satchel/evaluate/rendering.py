"""The page of an evaluation: one HTML file that needs no other, and its JSON next to it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from satchel.errors import PhotoError
from satchel.evaluate import charts
from satchel.evaluate.charts import Chart
from satchel.evaluate.report import EvaluationReport, MapFacts, Training
from satchel.files import write_atomically
from satchel.images import decode, thumbnail

PAGE: Final = "report.html"
FIGURES: Final = "report.json"

CONFUSION_PX: Final = 200
MAP_PX: Final = 96
MAP_QUALITY: Final = 60
"""Of WebP: at 2,000 photos, 5 MB where JPEG takes 12."""

COLOURS: Final = 8
"""Categories with their own colour on the map; the rarer ones share one more."""

Photos = Callable[[str], bytes | None]
"""SHA-256 of a photo → its bytes; None where it is gone."""


def write_report(report: EvaluationReport, photos: Photos, folder: Path) -> Path:
    """Write the page and its JSON into an existing folder; return the page's path."""
    write_atomically(folder / FIGURES, report.to_json())
    write_atomically(folder / PAGE, render_report(report, photos).encode())
    return folder / PAGE


def render_report(report: EvaluationReport, photos: Photos) -> str:
    """Return the page.

    Args:
        report: what to show.
        photos: where the photos come from; one that is gone or damaged leaves an empty frame.
    """
    return page("report.html").render(
        report=report,
        charts=[charts.draw(chart) for chart in _charts(report)],
        training=[charts.draw(chart) for chart in _training_charts(report.training)],
        picture=Pictures(photos),
        groups=_groups(report),
        map=_map(report.embedding, Pictures(photos, _tiny_picture)),
    )


def page(name: str) -> Template:
    """Render a page with the parts that all share: style, charts, photos, tables."""
    environment = Environment(
        loader=PackageLoader("satchel.evaluate", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value: charts.number(value, percent=True)
    return environment.get_template(name)


def picture(data: bytes) -> str:
    """A thumbnail of a photo, as a data URL."""
    small = thumbnail(data, CONFUSION_PX)
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()


class Pictures:
    """Thumbnails as data URLs, each encoded once."""

    def __init__(self, photos: Photos, shrink: Callable[[bytes], str] = picture) -> None:
        self._photos = photos
        self._shrink = shrink
        self._made: dict[str, str | None] = {}

    def __call__(self, sha256: str | None) -> str | None:
        """The data URL of a photo's thumbnail; None where the photo is gone or damaged."""
        if sha256 is None:
            return None
        if sha256 not in self._made:
            self._made[sha256] = self._make(sha256)
        return self._made[sha256]

    def _make(self, sha256: str) -> str | None:
        data = self._photos(sha256)
        if data is None:
            return None
        try:
            return self._shrink(data)
        except PhotoError:
            return None


def _tiny_picture(data: bytes) -> str:
    """A smaller thumbnail, for the map, which shows thousands."""
    pixels = decode(thumbnail(data, MAP_PX))
    _, small = cv2.imencode(".webp", pixels[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, MAP_QUALITY])
    return "data:image/webp;base64," + base64.b64encode(small.tobytes()).decode()


def _charts(report: EvaluationReport) -> list[Chart]:
    charts = []
    if report.top_k:
        charts.append(
            Chart(
                "Among the first k",
                "first candidates (k)",
                "right answer among them",
                report.top_k,
                note="The shaded band is the 95 % interval."
                if any(point.low is not None for line in report.top_k for point in line.points)
                else "",
            )
        )
    return charts


def _training_charts(training: Training | None) -> list[Chart]:
    if training is None:
        return []
    charts = []
    if training.loss:
        charts.append(Chart("Loss", "epoch", "loss", training.loss, percent=False, from_zero=True))
    if training.accuracy:
        charts.append(Chart("Accuracy", "epoch", "share right", training.accuracy))
    return charts


def _groups(report: EvaluationReport) -> list[dict[str, Any]]:
    """The tables by group; their columns are the ks that the groups have."""
    tables = (
        ("Categories", "category", report.categories, False),
        ("Products", "product", report.products, True),
    )
    return [
        {"title": title, "what": what, "rows": rows, "ks": list(rows[0].top), "folded": folded}
        for title, what, rows, folded in tables
        if rows
    ]


def _map(embedding: MapFacts | None, picture: Pictures) -> dict[str, Any] | None:
    """Number products and colours, and gather what the page's script needs."""
    if embedding is None or not embedding.points:
        return None
    points = embedding.points
    counts: dict[str, int] = {}
    for point in points:
        counts[point.category] = counts.get(point.category, 0) + 1
    named = sorted((name for name in counts if name), key=lambda name: (-counts[name], name))
    colours = {name: at for at, name in enumerate(named[:COLOURS])}
    legend = [(at, name, counts[name]) for name, at in colours.items()]
    rest = sum(count for name, count in counts.items() if name not in colours)
    if rest and legend:
        legend.append((COLOURS, "others", rest))
    codes = sorted({point.code for point in points})
    number = {code: at for at, code in enumerate(codes)}
    products: list[list[int]] = [[] for _ in codes]
    for at, point in enumerate(points):
        products[number[point.code]].append(at)
    drawn = [
        {
            "x": round(20 + 960 * point.x, 1),
            "y": round(20 + 960 * (1 - point.y), 1),
            "colour": colours.get(point.category, COLOURS),
            "code": point.code,
            "category": point.category,
            "taken": point.taken_for,
            "photo": picture(point.photo),
        }
        for point in points
    ]
    return {
        "method": embedding.method,
        "of": embedding.of,
        "points": drawn,
        "legend": legend,
        "wrong": sum(point.taken_for is not None for point in points),
        "products": [
            {
                "code": code,
                "category": points[rows[0]].category,
                "rows": rows,
                "wrong": sum(points[row].taken_for is not None for row in rows),
            }
            for code, rows in zip(codes, products, strict=True)
        ],
    }
