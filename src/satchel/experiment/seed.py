"""The figures that the project's seed published, as rows, columns and dashed lines next to ours.

They were measured on private photos of bags: a reference, not a baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from satchel.evaluate.charts import Chart, Line, Point
from satchel.evaluate.ranks import TOP
from satchel.evaluate.report import SOFTMAX_TOP, Figure
from satchel.experiment.page import Entry, TableRow
from satchel.experiment.plan import Dataset
from satchel.experiment.store import CellResult

DIFFERENT_DATA: Final = (
    "The seed's figures were measured on its own photos, which are private; ours on this "
    "catalogue's. The data differ, so the figures are a reference: a larger number does not mean "
    "a better model."
)


@dataclass(frozen=True, slots=True)
class SeedClassifier:
    """A classifier of the seed.

    Attributes:
        photos: of each product.
        cleaned: whether they were selected by hand; else as crawled.
        top: k → share of the test photos, in [0, 1], whose product is among the first k.
    """

    products: int
    photos: int
    cleaned: bool
    top: Mapping[int, float]


CLASSIFIERS: Final = (
    SeedClassifier(81, 50, False, {1: 0.36, 5: 0.64}),
    SeedClassifier(286, 50, False, {1: 0.41, 2: 0.54, 3: 0.60, 5: 0.68}),
    SeedClassifier(419, 50, False, {1: 0.41, 2: 0.54, 3: 0.60, 5: 0.71}),
    SeedClassifier(829, 10, True, {1: 0.70742, 2: 0.82349, 3: 0.86607, 5: 0.88942}),
)

ENCODERS: Final[Mapping[str, Mapping[int, float]]] = {
    "triplet": {10: 0.873, 81: 0.390},
    "center": {10: 0.892, 81: 0.4107},
    "cascaded": {10: 0.698, 81: 0.109},
}
"""Loss → products → accuracy, in [0, 1]; 10 products with 110 photos each, 81 with 50."""

ENCODER_COLUMNS: Final = ("seed, 10 × 110", "seed, 81 × 50")


def rows() -> list[tuple[int, TableRow]]:
    """Number of products and row of the classification table, for each of `CLASSIFIERS`."""
    return [
        (
            one.products,
            TableRow(
                (
                    "seed",
                    f"{one.products} × {one.photos}, "
                    + ("cleaned by hand" if one.cleaned else "as crawled"),
                    "EfficientNet",
                    *(Figure("", one.top[k]) if k in one.top else None for k in TOP),
                ),
                reference=True,
            ),
        )
        for one in CLASSIFIERS
    ]


def encoder_entries(loss: str) -> tuple[Entry, ...]:
    """The figures of a loss, in the order of `ENCODER_COLUMNS`."""
    entries = ENCODERS.get(loss, {})
    return tuple(Figure("", entries[n]) if n in entries else None for n in (10, 81))


def classification_chart(ours: Sequence[tuple[Dataset, CellResult]]) -> Chart:
    """Top-k by number of products: solid lines of ours, dashed ones of the seed."""
    lines = []
    for label in dict.fromkeys(photos_per_product(dataset) for dataset, _ in ours):
        own = [item for item in ours if photos_per_product(item[0]) == label]
        own.sort(key=lambda item: item[0].products)
        for k in TOP:
            points = tuple(
                Point(dataset.products, figure.value, figure.low, figure.high)
                for dataset, result in own
                if (figure := result.figure(SOFTMAX_TOP.format(k))) is not None
            )
            lines.append(Line(f"here, {label}: top-{k}", points, kind=f"top-{k}"))
    for cleaned, label in ((False, "50 crawled each"), (True, "10 cleaned each")):
        for k in TOP:
            points = tuple(
                Point(one.products, one.top[k])
                for one in CLASSIFIERS
                if one.cleaned == cleaned and k in one.top
            )
            name = f"seed, {label}: top-{k}"
            lines.append(Line(name, points, reference=True, kind=f"top-{k}"))
    return Chart(
        "By number of products",
        "number of products",
        "product among the first k",
        tuple(lines),
        note="Dashed: the seed's figures, on its own photos.",
        from_zero=True,
    )


def recall_chart(ours: Mapping[str, Mapping[Dataset, Figure]]) -> Chart:
    """Recall@1 by number of products: a line for each loss, dashed ones of the seed.

    Args:
        ours: loss → data set → Recall@1; of data sets with equally many products the last counts.
    """
    lines = []
    for method, by_dataset in ours.items():
        # Without intervals: a band for each loss would hide the others.
        points = {d.products: Point(d.products, figure.value) for d, figure in by_dataset.items()}
        if points:
            ordered = tuple(points[x] for x in sorted(points))
            lines.append(Line(f"here: {method}", ordered, kind=method))
        if method in ENCODERS:
            theirs = tuple(Point(x, y) for x, y in ENCODERS[method].items())
            lines.append(Line(f"seed: {method}", theirs, reference=True, kind=method))
    return Chart(
        "Recall@1 by number of products",
        "number of products",
        "nearest photo shows the product",
        tuple(lines),
        note="Dashed: the seed's accuracy, on its own photos.",
        from_zero=True,
    )


def photos_per_product(dataset: Dataset) -> str:
    """The limit of a data set, in words."""
    limit = dataset.photos_per_product
    return "all photos" if limit is None else f"{limit} at most"
