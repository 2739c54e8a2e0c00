"""The report of an evaluation: records of its figures, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from satchel.evaluate.charts import Line, Point
from satchel.evaluate.ranks import TOP, GroupFigures, Ranks, hits
from satchel.intervals import Interval, interval

SOFTMAX_TOP: Final = "Top-{}, softmax head"
"""Template of the names of a classifier's softmax figures, by k; the head is not served."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The test data of an evaluation.

    Attributes:
        split: name of the split.
        split_hash: of the file that froze it.
        counts: what → how many: products, gallery photos, queries, queries without an answer.
    """

    split: str
    split_hash: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure over all queries, in [0, 1], and its 95 % interval.

    Attributes:
        queries: that it is a mean over; None where it is no mean.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    queries: int | None = None

    @classmethod
    def of(cls, name: str, measured: Interval) -> Figure:
        """Name an interval."""
        return cls(name, measured.value, measured.low, measured.high, measured.values)


@dataclass(frozen=True, slots=True)
class Training:
    """How training went; x is the epoch. Accuracies in [0, 1]."""

    loss: tuple[Line, ...] = ()
    accuracy: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfusionExample:
    """SHA-256 of three photos: the query, the predicted product, the right product."""

    query: str
    taken_for: str | None = None
    truth: str | None = None


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """Queries of one product for which another ranked first.

    Attributes:
        count: how many queries, `of` all those that show `code`.
        name, taken_for_name: of the products, where known.
    """

    code: str
    taken_for: str
    count: int
    of: int
    examples: tuple[ConfusionExample, ...] = ()
    name: str = ""
    taken_for_name: str = ""


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A photo on the embedding map.

    Attributes:
        x, y: in [0, 1], from the lower left.
        photo: SHA-256.
        taken_for: the code that ranked first, where it is a wrong one.
    """

    x: float
    y: float
    code: str
    photo: str
    category: str = ""
    taken_for: str | None = None


@dataclass(frozen=True, slots=True)
class MapFacts:
    """The embedding map: `of` photos in all, of which the points are shown."""

    method: str
    of: int
    points: tuple[MapPoint, ...]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """All that the page shows. What is empty or None has no section.

    Attributes:
        about: further metadata: model, revision, machine, date.
        notes: sentences on how to read the figures.
        top_k: x is k, y the share of queries whose right answer is among the first k.
        categories, products: figures by group, in the order in which they are to be shown.
        confusions: the most frequent first.
    """

    title: str
    data: DataFacts
    about: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    top_k: tuple[Line, ...] = ()
    training: Training | None = None
    categories: tuple[GroupFigures, ...] = ()
    products: tuple[GroupFigures, ...] = ()
    confusions: tuple[ConfusionRow, ...] = ()
    embedding: MapFacts | None = None

    def to_json(self) -> bytes:
        """Write everything but the photos as JSON."""
        return _ADAPTER.dump_json(self, indent=2) + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> EvaluationReport:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        return _ADAPTER.validate_json(data)


_ADAPTER: Final = TypeAdapter(EvaluationReport)


def accuracy_figures(
    ranks: Ranks,
    clusters: Sequence[object] | None = None,
    *,
    ks: Sequence[int] = TOP,
    seed: int = 0,
) -> tuple[tuple[Figure, ...], Line]:
    """Return top-k figures with their intervals, and the same as a line over k.

    Args:
        ranks: shape (n,), of the right answers.
        clusters: for each query the item or product it belongs to; see
            `satchel.intervals.interval`.
        ks: ascending.
        seed: of the bootstrap.
    """
    measured = {k: interval(hits(ranks, k), clusters, seed=seed) for k in ks}
    figures = tuple(Figure.of(f"Top-{k}", found) for k, found in measured.items())
    points = tuple(Point(k, found.value, found.low, found.high) for k, found in measured.items())
    return figures, Line("this model", points)
