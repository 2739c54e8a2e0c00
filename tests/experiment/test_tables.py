"""The page of an experiment, made of invented results: the seed's figures beside ours."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from conftest import jpeg
from satchel.evaluate.report import ConfusionExample, ConfusionRow, Figure
from satchel.experiment.page import render_experiment
from satchel.experiment.plan import Cell, Dataset, Plan, make_cells
from satchel.experiment.settings import ExperimentSettings
from satchel.experiment.store import CellResult
from satchel.experiment.tables import best_classifier, experiment_report

NASTY = "</script><script>alert('x')</script>"
CLASSIFY = ["81x50", "286x50", "829x10"]
EMBED = ["10xall", "81x50", "unseen-829x50"]


def dataset(name: str, photos: int | None) -> Dataset:
    unseen = name.startswith("unseen-")
    products = int(name.removeprefix("unseen-").split("x")[0])
    return Dataset(
        name=name,
        split=f"paper-{name}",
        split_hash="0123456789abcdef" * 4,
        protocol="open" if unseen else "closed",
        products=products // 2 if unseen else products,
        photos_per_product=photos,
        train=products * (photos or 70),
        val=products * 5,
        test=products * 10,
        test_products=products // 2 if unseen else products,
    )


def planned() -> Plan:
    chosen = ExperimentSettings(backbones=("efficientnet_lite0",), losses=("triplet", "margin"))
    cells = make_cells(chosen, CLASSIFY, EMBED)
    return Plan(
        name="paper",
        settings=chosen,
        weights={name: f"of {name}" for name in chosen.backbones},
        datasets=(
            dataset("81x50", 50),
            dataset("286x50", 50),
            dataset("829x10", 10),
            dataset("10xall", None),
            dataset("unseen-829x50", 50),
        ),
        cells=tuple(cell.model_copy(update={"seconds": 90.0}) for cell in cells),
    )


def done(cell: Cell, value: float, score: float | None) -> CellResult:
    names = [f"Top-{k}" for k in (1, 2, 3, 5)]
    if cell.kind != "classifier":
        names += ["Recall@1, by photo", "Recall@5, by photo", "MAP@R"]
        names += ["Recall@1, Euclidean", "Recall@1, Mahalanobis"]
    figures = tuple(
        Figure(name, value + 0.01 * at, value - 0.05, min(1, value + 0.01 * at + 0.05), 100)
        for at, name in enumerate(names)
    )
    if cell.kind == "classifier":
        figures += tuple(replace(one, name=f"{one.name}, softmax head") for one in figures)
    run = None if cell.kind == "untrained" else f"paper-{cell.name}"
    return CellResult(run=run, seconds=60, epochs=3, score=score, figures=figures)


def results(plan: Plan, *, but: tuple[str, ...] = ()) -> dict[str, CellResult]:
    """Every cell finished but those whose names contain one of these words."""
    return {
        cell.name: done(cell, 0.3 + 0.013 * at, None if cell.kind == "untrained" else 0.5)
        for at, cell in enumerate(plan.cells)
        if not any(word in cell.name for word in but)
    }


class Page(HTMLParser):
    """Addresses and ids of a page, and its text by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.sections: dict[str, str] = {}
        self._section = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.addresses += [known[name] or "" for name in ("src", "href") if name in known]
        self.ids += [known["id"] or ""] if "id" in known else []
        if tag == "section":
            self._section = known["aria-labelledby"] or ""

    def handle_data(self, data: str) -> None:
        self.sections[self._section] = self.sections.get(self._section, "") + f" {data.strip()}"


def page_of(plan: Plan, found: dict[str, CellResult]) -> Page:
    return Page(render_experiment(experiment_report(plan, found), lambda _: None))


def test_one_self_contained_page_with_the_seeds_figures_and_ours() -> None:
    plan = planned()
    confusion = ConfusionRow(NASTY, "S1", 3, 7, (ConfusionExample("a" * 64, "b" * 64, "a" * 64),))
    report = experiment_report(plan, results(plan), confusions=[confusion])
    text = render_experiment(report, {"a" * 64: jpeg("disc")}.get)
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        inside = address.startswith("#") and address[1:] in page.ids
        picture = address.startswith("data:image/jpeg;base64,")
        assert (
            inside or picture or re.fullmatch(r"\.\./\.\./paper-[\w-]+/test/report\.html", address)
        )
    assert "alert('x')" not in text
    assert not re.search(r"https?:", text)
    classes = page.sections["classification"]
    for seed in ("36.0 %", "64.0 %", "54.0 %", "60.0 %", "71.0 %", "70.7 %", "88.9 %"):
        assert seed in classes
    assert "81 × 50 at most" in classes
    assert "here, 50 at most: top-1" in classes
    assert "seed, 10 cleaned each: top-3" in classes
    assert "87.3 %" in page.sections["metric-learning"]
    assert "10.9 %" in page.sections["metric-learning"]  # a loss of the seed's that was not run
    assert "seed: cascaded" in page.sections["metric-learning"]
    assert "S1" in page.sections["confusions"]
    assert "The data differ" in page.sections[""]
    assert "not-finished" not in page.sections


def test_models_are_chosen_by_validation() -> None:
    plan = planned()
    head, full = (
        next(c for c in plan.cells if c.name == f"829x10-efficientnet_lite0-{method}")
        for method in ("head", "full")
    )
    found = results(plan) | {head.name: done(head, 0.111, 0.9), full.name: done(full, 0.777, 0.8)}
    best = best_classifier(plan, found)
    assert best is not None
    assert best.cell == head
    page = page_of(plan, found)
    assert "11.1 %" in page.sections["classification"]
    assert "77.7 %" not in page.sections["classification"]
    assert "77.7 %" in page.sections["all-models"]


def test_gain_over_the_untrained_backbone_is_in_points() -> None:
    plan = planned()
    found = results(plan)
    for cell in plan.cells:
        if plan.dataset(cell).protocol == "open":
            value = {"untrained": 0.5, "triplet": 0.625}.get(cell.method, 0.4)
            found[cell.name] = done(cell, value, 0)
    page = page_of(plan, found)
    assert "+12.5" in page.sections["unseen-products"]
    assert "-10.0" in page.sections["unseen-products"]


def test_each_distance_has_its_column() -> None:
    plan = planned()
    cell = next(c for c in plan.cells if c.method == "triplet" and c.dataset == "81x50")
    found = {cell.name: done(cell, 0.2, 0.5)}  # Recall@1 24, 27 and 28 %
    text = page_of(plan, found).sections["distances"]
    assert re.search(r"cosine.*euclidean.*mahalanobis.*24\.0 %.*27\.0 %.*28\.0 %", text, re.S)


@pytest.mark.parametrize("but", [("",), ("full", "81x50"), ("triplet", "untrained"), ("head",)])
def test_missing_cells_are_listed_with_the_reason(but: tuple[str, ...]) -> None:
    plan = planned()
    found = results(plan, but=but)
    missing = [cell for cell in plan.cells if cell.name not in found]
    found[missing[0].name] = CellResult(error="its weights are gone")
    text = page_of(plan, found).sections["not-finished"]
    assert text.count("no time was left") == len(missing) - 1
    assert text.count("its weights are gone") == 1
