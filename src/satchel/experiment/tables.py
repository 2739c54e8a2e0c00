"""Plan and results → the page that holds the seed's figures beside ours. Pure, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from satchel.evaluate.charts import Chart, Line, Point
from satchel.evaluate.metrics import TOP
from satchel.evaluate.report import SEED_BY_PRODUCTS, ConfusionRow, Figure
from satchel.experiment.page import (
    Entry,
    ExperimentReport,
    ReportTable,
    Section,
    TableRow,
)
from satchel.experiment.plan import (
    UNTRAINED,
    Cell,
    CellResult,
    DataFacts,
    Kind,
    Plan,
    Results,
    that_fit,
)
from satchel.experiment.published import CLASSIFIERS, DIFFERENT_DATA, ENCODERS
from satchel.train.distances import Distance
from satchel.train.settings import FitSettings

RECALL: Final = {1: "Recall@1, by photo", 5: "Recall@5, by photo"}
SEED_ENCODERS: Final = ("seed, 10 × 110", "seed, 81 × 50")
SHOWN_CONFUSIONS: Final = 6

Filled = tuple[Cell, CellResult]


def experiment_report(
    plan: Plan, results: Results, *, confusions: Sequence[ConfusionRow] = ()
) -> ExperimentReport:
    """Say what stands on the page.

    Args:
        confusions: of `best_classifier`, the most frequent first.
    """
    sections = (
        _classification(plan, results),
        _metric_learning(plan, results),
        _unseen(plan, results),
        _distances(plan, results),
        _all_cells(plan, results),
        _went_wrong(plan, results, confusions[:SHOWN_CONFUSIONS]),
        _not_run(plan, results),
        _how(plan),
    )
    done = sum(results.of(cell) is not None for cell in plan.cells)
    return ExperimentReport(
        title=f"The seed's programme: {plan.name}",
        warning=DIFFERENT_DATA,
        facts={
            "cells done": f"{done} of {len(plan.cells)}",
            "budget": f"{plan.settings.minutes:g} min",
            "spent": f"{results.spent_s / 60:.1f} min",
            "backbones": ", ".join(plan.settings.backbones),
            "input side": f"{_common(plan, 'side_px')} px",
        },
        sections=tuple(section for section in sections if section is not None),
    )


def best_classifier(plan: Plan, results: Results) -> Filled | None:
    """The classifier of the most products that validated best: what its test part says is shown."""
    found = _filled(plan, results, "classifier")
    most = max((plan.facts(cell.data).products for cell, _ in found), default=0)
    return _best([item for item in found if plan.facts(item[0].data).products == most])


# -- beside the seed -------------------------------------------------------------------------------


def _classification(plan: Plan, results: Results) -> Section | None:
    best = _best_by_data(plan, results, "classifier")
    if not best:
        return None
    rows = [
        (
            size.products,
            TableRow(
                (
                    "seed",
                    f"{size.products} × {size.photos}, "
                    + ("cleaned by hand" if size.cleaned else "as crawled"),
                    "EfficientNet",
                    *(Figure("", size.top[k]) if k in size.top else None for k in TOP),
                ),
                reference=True,
            ),
        )
        for size in CLASSIFIERS
    ]
    rows += [
        (facts.products, TableRow(("this catalogue", _size(facts), _model(cell), *_top(result))))
        for facts, cell, result in best
    ]
    curves = tuple(
        Line(
            f"{facts.name}",
            tuple(
                Point(k, figure.value, figure.low, figure.high)
                for k in TOP
                if (figure := result.figure(f"Top-{k}")) is not None
            ),
        )
        for facts, _, result in best
    )
    return Section(
        "Classification",
        (
            "Which of the products a photo shows. Of ours, each data set's row is the model that "
            "did best on the validation part; the test part was looked at once, after that.",
        ),
        (
            ReportTable(
                ("whose", "products × photos", "model", *(f"top-{k}" for k in TOP)),
                tuple(row for _, row in sorted(rows, key=lambda row: row[0])),
                words=3,
                note="In per cent, with 95 % intervals over products below.",
            ),
        ),
        (
            Chart(
                "By number of products",
                "products to tell apart",
                "right product among the first",
                (*_by_products(best), *SEED_BY_PRODUCTS),
                note="Dashed: the seed's, on its own photos.",
                from_zero=True,
            ),
            Chart(
                "Among the first k",
                "candidates looked at (k)",
                "right product among them",
                curves,
                note="The best model of each data set here.",
            ),
        ),
    )


def _by_products(best: Sequence[tuple[DataFacts, Cell, CellResult]]) -> list[Line]:
    """Our lines, by photos of each product."""
    lines = []
    for each in dict.fromkeys(facts.photos_each for facts, _, _ in best):
        own = sorted(
            (item for item in best if item[0].photos_each == each),
            key=lambda item: item[0].products,
        )
        for k in TOP:
            points = tuple(
                Point(facts.products, figure.value, figure.low, figure.high)
                for facts, _, result in own
                if (figure := result.figure(f"Top-{k}")) is not None
            )
            lines.append(Line(f"here, {_each(each)}: top-{k}", points, kind=f"top-{k}"))
    return lines


def _metric_learning(plan: Plan, results: Results) -> Section | None:
    found = [item for item in _filled(plan, results) if _embeds(plan, item[0])]
    if not found:
        return None
    sizes = sorted(
        {cell.data: plan.facts(cell.data) for cell, _ in found}.values(),
        key=lambda facts: facts.products,
    )
    methods = list(dict.fromkeys([*(cell.method for cell, _ in found), *ENCODERS]))

    def ours(method: str, data: str) -> Figure | None:
        best = _best([i for i in found if i[0].method == method and i[0].data == data])
        return None if best is None else best[1].figure(RECALL[1])

    rows = [
        TableRow(
            (
                method,
                *(_share(ENCODERS.get(method, {}).get(products)) for products in (10, 81)),
                *(ours(method, facts.name) for facts in sizes),
            )
        )
        for method in methods
    ]
    lines = []
    for method in methods:
        points = tuple(
            Point(facts.products, figure.value)  # a band for each loss would hide the others
            for facts in sizes
            if (figure := ours(method, facts.name)) is not None
        )
        if points:
            lines.append(Line(f"here: {method}", _one_at_each_x(points), kind=method))
        if method in ENCODERS:
            seed = tuple(Point(x, y) for x, y in ENCODERS[method].items())
            lines.append(Line(f"seed: {method}", seed, reference=True, kind=method))
    return Section(
        "Metric learning",
        (
            "Whether the photo nearest to a test photo, among the training photos, shows its "
            "product (Recall@1). The seed does not say how its accuracy was measured. Untrained: "
            "the backbone as it came.",
        ),
        (
            ReportTable(
                (
                    "loss",
                    *SEED_ENCODERS,
                    *(f"here, {_size(facts)}" for facts in sizes),
                ),
                tuple(rows),
                references=SEED_ENCODERS,
            ),
        ),
        (
            Chart(
                "Recall@1 by number of products",
                "products to tell apart",
                "nearest photo shows the product",
                tuple(lines),
                note="Dashed: the seed's accuracy, on its own photos.",
                from_zero=True,
            ),
        ),
    )


def _one_at_each_x(points: Sequence[Point]) -> tuple[Point, ...]:
    """Of points at one number of products, the last: that with most photos of each."""
    return tuple({point.x: point for point in points}.values())


# -- ours ------------------------------------------------------------------------------------------


def _unseen(plan: Plan, results: Results) -> Section | None:
    found = [item for item in _filled(plan, results) if plan.unseen(item[0])]
    if not found:
        return None
    untrained = {
        (cell.data, cell.backbone): result.figure(RECALL[1])
        for cell, result in found
        if cell.method == UNTRAINED
    }

    def gain(cell: Cell, result: CellResult) -> str:
        before, after = untrained.get((cell.data, cell.backbone)), result.figure(RECALL[1])
        if cell.method == UNTRAINED or before is None or after is None:
            return ""
        return f"{100 * (after.value - before.value):+.1f}"

    return Section(
        "Products never trained on",
        (
            "“A product that was never trained on is recognised once it is in the database”, says "
            "the seed. Each photo of such products is searched among all the others of them.",
        ),
        tuple(
            ReportTable(
                ("method", "backbone", "Recall@1", "Recall@5", "MAP@R", "points over untrained"),
                tuple(
                    TableRow(
                        (
                            cell.method,
                            cell.backbone,
                            result.figure(RECALL[1]),
                            result.figure(RECALL[5]),
                            result.figure("MAP@R"),
                            gain(cell, result),
                        ),
                        link=_link(result),
                    )
                    for cell, result in found
                    if cell.data == facts.name
                ),
                words=2,
                note=f"{facts.name}: trained on {facts.products} products, tested on "
                f"{facts.tested} others with {facts.test:,} photos.",
            )
            for facts in plan.data
            if any(cell.data == facts.name for cell, _ in found)
        ),
    )


def _distances(plan: Plan, results: Results) -> Section | None:
    found = [item for item in _filled(plan, results) if item[0].kind != "classifier"]
    if not found:
        return None
    names = {distance: recall_name(distance) for distance in plan.settings.distances}
    return Section(
        "Distances",
        (
            "Recall@1 by the distance that photos are searched by. Cosine takes vectors of length "
            "1; Euclidean takes them as the network gives them; Mahalanobis weighs each direction "
            "by how little training photos of one product differ along it (covariance shrunk "
            "after Ledoit and Wolf).",
        ),
        (
            ReportTable(
                ("data set", "method", "backbone", *names),
                tuple(
                    TableRow(
                        (
                            cell.data,
                            cell.method,
                            cell.backbone,
                            *(result.figure(name) for name in names.values()),
                        ),
                        link=_link(result),
                    )
                    for cell, result in found
                ),
                words=3,
            ),
        ),
    )


def recall_name(distance: Distance) -> str:
    """What an evaluation calls Recall@1 by this distance."""
    return RECALL[1] if distance == "cosine" else f"Recall@1, {distance.capitalize()}"


def _all_cells(plan: Plan, results: Results) -> Section | None:
    found = _filled(plan, results)
    if not found:
        return None
    return Section(
        "Every model",
        (
            "Top-k: the right product among the first k; of encoders, products are ranked as "
            "identification ranks them. The first column leads to each run's own report.",
        ),
        (
            ReportTable(
                (
                    "data set",
                    "method",
                    "backbone",
                    *(f"top-{k}" for k in TOP),
                    "Recall@1",
                    "Recall@5",
                    "MAP@R",
                    "epochs",
                    "min",
                ),
                tuple(
                    TableRow(
                        (
                            cell.data,
                            cell.method,
                            cell.backbone,
                            *_top(result),
                            *(result.figure(name) for name in (*RECALL.values(), "MAP@R")),
                            f"{result.epochs:g}",
                            f"{result.seconds / 60:.1f}",
                        ),
                        link=_link(result),
                    )
                    for cell, result in found
                ),
                words=3,
            ),
        ),
    )


def _went_wrong(plan: Plan, results: Results, confusions: Sequence[ConfusionRow]) -> Section | None:
    best = best_classifier(plan, results)
    if best is None or not confusions:
        return None
    cell, _ = best
    said = f"The products that {_model(cell)} confuses most often on {cell.data}, with the photos."
    return Section("What went wrong", (said,), confusions=tuple(confusions))


def _not_run(plan: Plan, results: Results) -> Section | None:
    open_cells = [cell for cell in plan.cells if results.of(cell) is None]
    if not open_cells:
        return None

    def why(cell: Cell) -> str:
        known = results.cells.get(cell.name)
        return f"{known.state}: {known.why}" if known else "not begun: no time was left for it"

    return Section(
        "Not run",
        (
            "Goes on where it stopped, with more time: "
            f"satchel experiment seed-protocol --name {plan.name} --minutes N",
        ),
        (
            ReportTable(
                ("data set", "method", "backbone", "why", "needs about, min"),
                tuple(
                    TableRow(
                        (
                            cell.data,
                            cell.method,
                            cell.backbone,
                            why(cell),
                            f"{cell.seconds / 60:.1f}",
                        )
                    )
                    for cell in open_cells
                ),
                words=4,
            ),
        ),
    )


def _how(plan: Plan) -> Section:
    data = ReportTable(
        ("data set", "split", "hash", "products", "train", "val", "test"),
        tuple(
            TableRow(
                (
                    facts.name,
                    facts.split,
                    facts.split_hash[:16],
                    f"{facts.products:,}",
                    f"{facts.train:,}",
                    f"{facts.val:,}",
                    f"{facts.test:,}",
                )
            )
            for facts in plan.data
        ),
        words=3,
        note="Counts of photos. A larger data set holds the products of a smaller one, and more.",
    )
    weights = ReportTable(
        ("backbone", "begun with"),
        tuple(TableRow(item) for item in plan.weights.items()),
        words=2,
    )
    return Section(
        "How it was done",
        (
            "Every cell is a run of its own, on a frozen split, chosen by its validation part. "
            "Each that is fine-tuned was given the same time, or as much as it needs for "
            f"{_common(plan, 'epochs')} epochs; the plan and its estimates are in plan.json, the "
            "results in results.json.",
        ),
        (data, weights),
    )


# -- what the sections share -----------------------------------------------------------------------


def _filled(plan: Plan, results: Results, kind: Kind | None = None) -> list[Filled]:
    found = ((cell, results.of(cell)) for cell in plan.cells if kind in (None, cell.kind))
    return [(cell, result) for cell, result in found if result is not None]


def _embeds(plan: Plan, cell: Cell) -> bool:
    return cell.kind != "classifier" and not plan.unseen(cell)


def _best(found: Iterable[Filled]) -> Filled | None:
    """What validated best; what was not trained has no such score, and comes last."""
    return max(found, key=lambda item: item[1].score or 0.0, default=None)


def _best_by_data(
    plan: Plan, results: Results, kind: Kind
) -> list[tuple[DataFacts, Cell, CellResult]]:
    found = _filled(plan, results, kind)
    chosen = (
        (facts, _best([item for item in found if item[0].data == facts.name]))
        for facts in plan.data
    )
    return [(facts, *best) for facts, best in chosen if best is not None]


def _top(result: CellResult) -> tuple[Entry, ...]:
    return tuple(result.figure(f"Top-{k}") for k in TOP)


def _share(value: float | None) -> Figure | None:
    return None if value is None else Figure("", value)


def _model(cell: Cell) -> str:
    said = {"head": "head alone", "partial": "last blocks", "full": "fine-tuned"}
    return f"{cell.backbone}, {said.get(cell.method, cell.method)}"


def _size(facts: DataFacts) -> str:
    return f"{facts.products} × {_each(facts.photos_each)}"


def _each(photos: int | None) -> str:
    return "all photos" if photos is None else f"{photos} at most"


def _link(result: CellResult) -> str | None:
    return f"../../{result.run}/test/report.html" if result.run else None


def _common(plan: Plan, key: str) -> object:
    return plan.settings.fit.get(key, FitSettings.model_fields[key].default)


def planned_table(plan: Plan, results: Results) -> list[tuple[str, ...]]:
    """Rows that announce a plan: data set, method, backbone, epochs, minutes, what is to come."""
    waiting = [cell for cell in plan.cells if results.of(cell) is None]
    left = 60 * plan.settings.minutes - results.spent_s
    fit = set(that_fit(waiting, left))
    return [
        (
            cell.data,
            cell.method,
            cell.backbone,
            f"{cell.epochs}" if cell.fine_tuned else "",
            f"{cell.seconds / 60:.1f}",
            "done" if results.of(cell) else ("" if cell.name in fit else "not in the budget"),
        )
        for cell in plan.cells
    ]
