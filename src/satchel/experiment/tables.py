"""Plan and results → the sections of the page, the seed's figures next to ours. Without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from satchel.evaluate.ranks import TOP
from satchel.evaluate.report import SOFTMAX_TOP, ConfusionRow, Figure
from satchel.experiment import seed
from satchel.experiment.page import Entry, ExperimentReport, ReportTable, Section, TableRow
from satchel.experiment.plan import UNTRAINED, Cell, Dataset, Plan
from satchel.experiment.store import CellResult, Results

SHOWN_CONFUSIONS: Final = 6
RECALL_1: Final = "Recall@1, by photo"
"""The name of Recall@1 by cosine in an evaluation."""


@dataclass(frozen=True, slots=True)
class Row:
    """A finished cell."""

    dataset: Dataset
    cell: Cell
    result: CellResult

    @property
    def unseen(self) -> bool:
        """Whether it was tested on unseen products."""
        return self.dataset.protocol == "open"


Column = tuple[str, Callable[[Row], Entry]]
"""A column: heading, and function that gives its cells."""


def _figure(heading: str, name: str) -> Column:
    return heading, lambda row: row.result.figure(name)


DATASET: Final[Column] = ("data set", lambda row: row.cell.dataset)
METHOD: Final[Column] = ("method", lambda row: row.cell.method)
BACKBONE: Final[Column] = ("backbone", lambda row: row.cell.backbone)
TOP_K: Final = tuple(_figure(f"top-{k}", f"Top-{k}") for k in TOP)
SOFTMAX: Final = tuple(_figure(f"top-{k}", SOFTMAX_TOP.format(k)) for k in TOP)
RETRIEVAL: Final = (
    _figure("Recall@1", RECALL_1),
    _figure("Recall@5", "Recall@5, by photo"),
    _figure("MAP@R", "MAP@R"),
)
DISTANCES: Final = (
    _figure("cosine", RECALL_1),
    _figure("euclidean", "Recall@1, Euclidean"),
    _figure("mahalanobis", "Recall@1, Mahalanobis"),
)


def experiment_report(
    plan: Plan, results: Results, *, confusions: Sequence[ConfusionRow] = ()
) -> ExperimentReport:
    """Return what the page shows.

    Args:
        confusions: of `best_classifier`, the most frequent first.
    """
    rows = finished(plan, results)
    sections = (
        _classification(rows),
        _metric_learning([r for r in rows if r.cell.kind != "classifier" and not r.unseen]),
        _unseen([row for row in rows if row.unseen]),
        _distances([row for row in rows if row.cell.kind != "classifier"]),
        _all_models(rows),
        _confusions(best_classifier(plan, results), confusions[:SHOWN_CONFUSIONS]),
        _not_finished(plan, results),
        _method(plan),
    )
    minutes = sum(result.seconds for result in results.values()) / 60
    return ExperimentReport(
        title=f"The seed's protocol: {plan.name}",
        warning=seed.DIFFERENT_DATA,
        facts={
            "finished cells": f"{len(rows)} of {len(plan.cells)}",
            "time planned": f"{plan.settings.minutes:g} min",
            "time of the finished cells": f"{minutes:.1f} min",
            "backbones": ", ".join(plan.settings.backbones),
        },
        sections=tuple(section for section in sections if section is not None),
    )


def finished(plan: Plan, results: Results) -> list[Row]:
    """The finished cells, in the order of the plan."""
    return [
        Row(plan.dataset(cell), cell, results[cell.name])
        for cell in plan.cells
        if cell.name in results and not results[cell.name].error
    ]


def best_classifier(plan: Plan, results: Results) -> Row | None:
    """Of the classifiers of the most products, the one with the best validation score."""
    rows = [row for row in finished(plan, results) if row.cell.kind == "classifier"]
    most = max((row.dataset.products for row in rows), default=0)
    return _best(row for row in rows if row.dataset.products == most)


# -- next to the seed's figures --------------------------------------------------------------------


def _classification(rows: Sequence[Row]) -> Section | None:
    best = [row for own in _by_dataset(rows) if (row := _best(r for r in own if _classifies(r)))]
    if not best:
        return None
    ours = [
        (
            row.dataset.products,
            TableRow(("this catalogue", _size(row.dataset), _model(row), *_entries(row, SOFTMAX))),
        )
        for row in best
    ]
    table = ReportTable(
        ("whose", "products × photos", "model", *(heading for heading, _ in SOFTMAX)),
        tuple(row for _, row in sorted([*seed.rows(), *ours], key=lambda item: item[0])),
        words=3,
        note="In per cent, with 95 % intervals over products below.",
    )
    return Section(
        "Classification",
        (
            "Which of the products a photo shows, by the softmax head of a classifier. Each data "
            "set's row is the model with the best validation score; test photos were evaluated "
            "once, after training.",
        ),
        (table,),
        (seed.classification_chart([(row.dataset, row.result) for row in best]),),
    )


def _metric_learning(rows: Sequence[Row]) -> Section | None:
    if not rows:
        return None
    datasets = sorted({row.dataset for row in rows}, key=lambda dataset: dataset.products)
    methods = list(dict.fromkeys([*(row.cell.method for row in rows), *seed.ENCODERS]))
    recall: dict[str, dict[Dataset, Figure]] = {method: {} for method in methods}
    for row in rows:
        best = _best(
            r for r in rows if (r.cell.method, r.dataset) == (row.cell.method, row.dataset)
        )
        figure = best and best.result.figure(RECALL_1)
        if figure:
            recall[row.cell.method][row.dataset] = figure
    table = ReportTable(
        ("loss", *seed.ENCODER_COLUMNS, *(f"here, {_size(dataset)}" for dataset in datasets)),
        tuple(
            TableRow((method, *seed.encoder_entries(method), *map(recall[method].get, datasets)))
            for method in methods
        ),
        references=seed.ENCODER_COLUMNS,
    )
    return Section(
        "Metric learning",
        (
            "Whether the nearest training photo of a test photo shows its product (Recall@1). How "
            "the seed measured its accuracy is not published. Untrained: the zero-shot baseline.",
        ),
        (table,),
        (seed.recall_chart(recall),),
    )


# -- ours ------------------------------------------------------------------------------------------


def _unseen(rows: Sequence[Row]) -> Section | None:
    if not rows:
        return None
    untrained = {
        (row.dataset, row.cell.backbone): row.result.figure(RECALL_1)
        for row in rows
        if row.cell.method == UNTRAINED
    }

    def gain(row: Row) -> str:
        before = untrained.get((row.dataset, row.cell.backbone))
        after = row.result.figure(RECALL_1)
        if row.cell.method == UNTRAINED or before is None or after is None:
            return ""
        return f"{100 * (after.value - before.value):+.1f}"

    columns = (METHOD, BACKBONE, *RETRIEVAL, ("points over untrained", gain))
    return Section(
        "Unseen products",
        (
            "Products that no model was trained on: each of their photos is a query, searched "
            "among all their other photos.",
        ),
        tuple(
            _table(
                own,
                columns,
                words=2,
                note=f"{own[0].dataset.name}: trained on {own[0].dataset.products} products, "
                f"tested on {own[0].dataset.test_products} others with "
                f"{own[0].dataset.test:,} photos.",
            )
            for own in _by_dataset(rows)
        ),
    )


def _distances(rows: Sequence[Row]) -> Section | None:
    if not rows:
        return None
    return Section(
        "Distances",
        (
            "Recall@1 by the distance of the search. Cosine: L2-normalised embeddings. Euclidean: "
            "embeddings as the network gives them. Mahalanobis: normalised embeddings, whitened by "
            "the covariance within training products (Ledoit–Wolf shrinkage).",
        ),
        (_table(rows, (DATASET, METHOD, BACKBONE, *DISTANCES), words=3),),
    )


def _all_models(rows: Sequence[Row]) -> Section | None:
    if not rows:
        return None
    columns: tuple[Column, ...] = (
        *(DATASET, METHOD, BACKBONE, *TOP_K, *RETRIEVAL),
        ("epochs", lambda row: f"{row.result.epochs:g}"),
        ("min", lambda row: f"{row.result.seconds / 60:.1f}"),
    )
    return Section(
        "All models",
        (
            "Top-k: the product is among the first k, ranked as identification ranks: by the "
            "exported encoder in an index of the gallery. The first column links to the report of "
            "each run.",
        ),
        (_table(rows, columns, words=3),),
    )


def _confusions(best: Row | None, confusions: Sequence[ConfusionRow]) -> Section | None:
    if best is None or not confusions:
        return None
    text = f"The products that {_model(best)} confuses most often on {best.dataset.name}."
    return Section("Confusions", (text,), confusions=tuple(confusions))


def _not_finished(plan: Plan, results: Results) -> Section | None:
    done = {row.cell for row in finished(plan, results)}
    left = [cell for cell in plan.cells if cell not in done]
    if not left:
        return None
    rows = tuple(
        TableRow(
            (
                *(cell.dataset, cell.method, cell.backbone),
                results[cell.name].error if cell.name in results else "no time was left",
                f"{cell.seconds / 60:.1f}",
            )
        )
        for cell in left
    )
    return Section(
        "Not finished",
        (f"To resume: satchel experiment seed-protocol --name {plan.name} --minutes N",),
        (ReportTable(("data set", "method", "backbone", "why", "about, min"), rows, words=4),),
    )


def _method(plan: Plan) -> Section:
    datasets = ReportTable(
        ("data set", "split", "hash", "products", "train", "val", "test"),
        tuple(
            TableRow(
                (
                    *(d.name, d.split, d.split_hash[:16]),
                    *(f"{count:,}" for count in (d.products, d.train, d.val, d.test)),
                )
            )
            for d in plan.datasets
        ),
        words=3,
        note="Numbers of photos. A data set contains the products of all smaller ones.",
    )
    weights = ReportTable(
        ("backbone", "initial weights"),
        tuple(TableRow(item) for item in plan.weights.items()),
        words=2,
    )
    return Section(
        "Method",
        (
            "Every cell is a run on a frozen split; its best epoch is chosen on the validation "
            "part. Each fine-tuned model has the same training time, or the maximum of epochs. "
            "The plan is in plan.json, the results are in results.json.",
        ),
        (datasets, weights),
    )


# -- shared by the sections ------------------------------------------------------------------------


def _table(
    rows: Sequence[Row], columns: Sequence[Column], *, words: int, note: str = ""
) -> ReportTable:
    """One line for each row; the first entry links to the report of its run."""
    return ReportTable(
        tuple(heading for heading, _ in columns),
        tuple(TableRow(_entries(row, columns), link=_link(row.result)) for row in rows),
        words=words,
        note=note,
    )


def _entries(row: Row, columns: Sequence[Column]) -> tuple[Entry, ...]:
    return tuple(entry(row) for _, entry in columns)


def _by_dataset(rows: Sequence[Row]) -> list[list[Row]]:
    datasets = dict.fromkeys(row.dataset for row in rows)
    return [[row for row in rows if row.dataset == dataset] for dataset in datasets]


def _best(rows: Iterable[Row]) -> Row | None:
    """The row with the best validation score; untrained backbones have none."""
    return max(rows, key=lambda row: row.result.score or 0.0, default=None)


def _classifies(row: Row) -> bool:
    return row.cell.kind == "classifier"


def _model(row: Row) -> str:
    names = {"head": "head only", "partial": "last blocks", "full": "fine-tuned"}
    return f"{row.cell.backbone}, {names.get(row.cell.method, row.cell.method)}"


def _size(dataset: Dataset) -> str:
    return f"{dataset.products} × {seed.photos_per_product(dataset)}"


def _link(result: CellResult) -> str | None:
    return f"../../{result.run}/test/report.html" if result.run else None
