"""The page of an experiment, made of invented results: the seed's figures beside ours."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from conftest import jpeg
from satchel.evaluate.report import ConfusionExample, ConfusionRow, Figure
from satchel.experiment.page import render_experiment
from satchel.experiment.plan import Cell, CellResult, Costs, DataFacts, Plan, Results, cells_of
from satchel.experiment.tables import (
    best_classifier,
    experiment_report,
    planned_table,
    recall_name,
)
from satchel.train.settings import ExperimentSettings

NASTY = "</script><script>alert('x')</script>"
COSTS = Costs(features_s=0.02, look_s=0.01, step_s=0.05, head_s=5)


def facts(name: str, photos: int | None) -> DataFacts:
    unseen = name.startswith("unseen-")
    products = int(name.removeprefix("unseen-").split("x")[0])
    return DataFacts(
        name=name,
        split=f"paper-{name}",
        split_hash="0123456789abcdef" * 4,
        protocol="open" if unseen else "closed",
        products=products // 2 if unseen else products,
        photos_each=photos,
        train=products * (photos or 70),
        drawn=products * (photos or 70),
        val=products * 5,
        test=products * 10,
        tested=products // 2 if unseen else products,
    )


DATA = (
    facts("81x50", 50),
    facts("286x50", 50),
    facts("829x10", 10),
    facts("10xall", None),
    facts("unseen-829x50", 50),
)


def planned(**settings: object) -> Plan:
    chosen = ExperimentSettings.model_validate(
        {"backbones": ["efficientnet_lite0"], "losses": ["triplet", "margin"], **settings}
    )
    cells = cells_of(chosen, ["81x50", "286x50", "829x10"], ["10xall", "81x50", "unseen-829x50"])
    return Plan(
        name="paper",
        settings=chosen,
        weights={name: f"of {name}" for name in chosen.backbones},
        costs=dict.fromkeys(chosen.backbones, COSTS),
        data=DATA,
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
    run = None if cell.kind == "untrained" else f"paper-{cell.name}"
    return CellResult(state="done", run=run, seconds=60, epochs=3, score=score, figures=figures)


def results(plan: Plan, *, but: tuple[str, ...] = ()) -> Results:
    """Every cell done but those whose names hold one of these words."""
    return Results(
        spent_s=600,
        cells={
            cell.name: done(cell, 0.3 + 0.013 * at, None if cell.kind == "untrained" else 0.5)
            for at, cell in enumerate(plan.cells)
            if not any(word in cell.name for word in but)
        },
    )


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


def test_one_page_with_both_that_needs_nothing_beside_it() -> None:
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
    assert "87.3 %" in page.sections["metric-learning"]
    assert "10.9 %" in page.sections["metric-learning"]  # a loss of the seed's that was not run
    assert "S1" in page.sections["what-went-wrong"]
    assert "The data differ" in page.sections[""]
    assert "not-run" not in page.sections


def test_what_is_shown_was_chosen_by_validation() -> None:
    plan = planned()
    known = results(plan)
    head, full = (
        next(c for c in plan.cells if c.name == f"829x10-efficientnet_lite0-{method}")
        for method in ("head", "full")
    )
    cells = {**known.cells, head.name: done(head, 0.111, 0.9), full.name: done(full, 0.777, 0.8)}
    chosen = Results(spent_s=1, cells=cells)
    best = best_classifier(plan, chosen)
    assert best is not None
    assert best[0] == head
    page = Page(render_experiment(experiment_report(plan, chosen), lambda _: None))
    assert "11.1 %" in page.sections["classification"]
    assert "77.7 %" not in page.sections["classification"]
    assert "77.7 %" in page.sections["every-model"]


def test_gain_over_the_untrained_backbone_is_in_points() -> None:
    plan = planned()
    cells = dict(results(plan).cells)
    for cell in plan.cells:
        if plan.unseen(cell):
            cells[cell.name] = done(
                cell, {"untrained": 0.5, "triplet": 0.625}.get(cell.method, 0.4), 0
            )
    page = Page(render_experiment(experiment_report(plan, Results(cells=cells)), lambda _: None))
    assert "+12.5" in page.sections["products-never-trained-on"]
    assert "-10.0" in page.sections["products-never-trained-on"]


@pytest.mark.parametrize("but", [("",), ("full", "81x50"), ("triplet", "untrained"), ("head",)])
def test_what_is_missing_is_left_out_or_told(but: tuple[str, ...]) -> None:
    plan = planned()
    known = results(plan, but=but)
    page = Page(render_experiment(experiment_report(plan, known), lambda _: None))
    missing = [cell for cell in plan.cells if cell.name not in known.cells]
    assert page.sections["not-run"].count("not begun") == len(missing)
    rows = planned_table(plan, known)
    assert sum(row[-1] == "done" for row in rows) == len(known.cells)


def test_the_plan_says_what_the_budget_does_not_hold() -> None:
    plan = planned(minutes=3.5)  # cells take 90 seconds
    told = [row[-1] for row in planned_table(plan, Results())]
    assert told[:2] == ["", ""]
    assert set(told[2:]) == {"not in the budget"}
    assert [row[-1] for row in planned_table(plan, Results(spent_s=60))][1] == "not in the budget"


def test_distances_are_called_what_an_evaluation_calls_them() -> None:
    assert recall_name("cosine") == "Recall@1, by photo"
    assert recall_name("mahalanobis") == "Recall@1, Mahalanobis"
