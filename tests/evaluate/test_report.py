from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from conftest import jpeg
from satchel.evaluate.charts import Line, Point
from satchel.evaluate.ranks import GroupFigures
from satchel.evaluate.rendering import render_report, write_report
from satchel.evaluate.report import (
    ConfusionExample,
    ConfusionRow,
    DataFacts,
    EvaluationReport,
    Figure,
    MapFacts,
    MapPoint,
    Training,
    accuracy_figures,
)

NASTY = "</script><script>alert('x')</script>"
PICTURES = {"a" * 64: jpeg("disc"), "b" * 64: jpeg("box"), "d" * 64: b"no photo"}


def full() -> EvaluationReport:
    groups = (GroupFigures("bag", 3, {1: 0.5, 5: 1.0}), GroupFigures(NASTY, 1, {1: 0.0, 5: 0.0}))
    line = Line(NASTY, (Point(1, 0.5, 0.4, 0.6), Point(2, 0.7, 0.6, 0.8)))
    return EvaluationReport(
        title=f"Evaluation {NASTY}",
        data=DataFacts("test", "0123456789abcdef" * 4, {"gallery photos": 2640, "queries": 2485}),
        about={"model": NASTY},
        notes=("Test set touched once.",),
        figures=(Figure("Top-1", 0.7425, 0.7, 0.8, 2485), Figure("mAP@R", 0.25)),
        top_k=(line,),
        training=Training((Line("train", (Point(1, 2.0), Point(2, 1.0))),), (line,)),
        categories=groups,
        products=groups,
        confusions=(
            ConfusionRow(
                NASTY,
                "S22675",
                3,
                7,
                (
                    ConfusionExample("a" * 64, "b" * 64, None),
                    ConfusionExample("c" * 64, "d" * 64),
                ),
                name="Pochette",
            ),
        ),
        embedding=MapFacts(
            "PCA",
            900,
            (
                MapPoint(0.1, 0.9, NASTY, "a" * 64, "bag"),
                MapPoint(0.5, 0.5, "M22675", "b" * 64, "bag", taken_for=NASTY),
                MapPoint(0.6, 0.4, "M22675", "c" * 64),
            ),
        ),
    )


class Page(HTMLParser):
    """What a browser would make of it: tags, addresses, ids, the text of scripts."""

    VOID = ("meta", "img", "line", "circle", "rect", "path", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "img":
            assert any(name == "alt" for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def assert_self_contained(text: str) -> Page:
    page = Page(text)
    assert all(
        a.startswith(("data:image/jpeg;base64,", "data:image/webp;base64,", "#"))
        for a in page.addresses
    )
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"// [A-Z].*", "", text))
    assert "default-src 'none'" in text
    assert "alert('x')" not in text.replace("alert(&#39;x&#39;)", "")
    return page


SECTIONS = {
    "figures": "figures",
    "top_k": "Among the first k",
    "training": "training",
    "categories": "categories",
    "products": "products",
    "confusions": "confusions",
    "embedding": "map",
    "notes": "Test set touched once.",
}


def shows(text: str, what: str) -> bool:
    return f'<h2 id="{what}">' in text or f">{what}</" in text


def without(report: EvaluationReport, *names: str) -> EvaluationReport:
    empty = EvaluationReport(report.title, report.data)
    return dataclasses.replace(report, **{name: getattr(empty, name) for name in names})


def test_every_section() -> None:
    text = render_report(full(), PICTURES.get)
    assert_self_contained(text)
    assert all(shows(text, what) for what in SECTIONS.values())
    assert text.count('<div class="gone">') == 4  # two without truth, a lost photo, a damaged one
    assert "74.2 %" in text


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_without_data_is_left_out(name: str) -> None:
    text = render_report(without(full(), name), PICTURES.get)
    assert_self_contained(text)
    for other, what in SECTIONS.items():
        assert shows(text, what) == (other != name)


def test_no_section_at_all() -> None:
    report = EvaluationReport("Nothing yet", DataFacts("", ""))
    text = render_report(report, PICTURES.get)
    assert_self_contained(text)
    assert "<h2" not in text
    for empty in (
        dataclasses.replace(report, embedding=MapFacts("PCA", 0, ())),
        dataclasses.replace(report, training=Training()),
    ):
        assert "<h2" not in render_report(empty, PICTURES.get)


def test_data_of_the_map_for_its_script() -> None:
    page = Page(render_report(full(), PICTURES.get))
    data = json.loads(page.scripts[0])
    assert [point["code"] for point in data["points"]] == [NASTY, "M22675", "M22675"]
    assert [point["photo"] is None for point in data["points"]] == [False, False, True]
    assert [point["colour"] for point in data["points"]] == [0, 0, 8]
    assert data["points"][0]["y"] < data["points"][1]["y"]  # up is up
    assert [(p["code"], p["rows"], p["wrong"]) for p in data["products"]] == [
        (NASTY, [0], 0),
        ("M22675", [1, 2], 1),
    ]


def test_each_photo_is_read_once_for_each_size() -> None:
    asked: list[str] = []

    def photos(sha256: str) -> bytes | None:
        asked.append(sha256)
        return PICTURES.get(sha256)

    render_report(full(), photos)
    assert sorted(asked) == sorted([letter * 64 for letter in "abcd"] + [x * 64 for x in "abc"])


def test_json_comes_back_as_it_went(tmp_path: Path) -> None:
    page = write_report(full(), PICTURES.get, tmp_path)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    data = (tmp_path / "report.json").read_bytes()
    assert EvaluationReport.from_json(data) == full()
    assert json.loads(data)["figures"][0]["name"] == "Top-1"


def test_figures_of_ranks() -> None:
    figures, line = accuracy_figures(np.array([1, 2, 0, 1]), ["x", "x", "y", "y"], ks=(1, 5))
    assert [(f.name, f.value, f.queries) for f in figures] == [
        ("Top-1", 0.5, 4),
        ("Top-5", 0.75, 4),
    ]
    assert [(p.x, p.y) for p in line.points] == [(1, 0.5), (5, 0.75)]
    assert figures[0].low is not None
    assert figures[0].low <= 0.5
