"""Ranks of right answers, and figures of them: top-k, by product and category, confusions.

Ties are pessimistic: a wrong answer with the score of the right one ranks before it, so that no
figure depends on the order in which rows are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from satchel.arrays import Bools, Floats, Ints
from satchel.intervals import interval

Ranks = npt.NDArray[np.int64]
"""Shape (n,): rank of the right answer, 1 the best; 0 where it is not among the answers."""

Key = TypeVar("Key", bound=Hashable)

TOP: Final = (1, 2, 3, 5)


def class_ranks(scores: Floats, labels: Ints, *, chunk: int = 4096) -> Ranks:
    """Rank the right class of each query; a wrong class with the same score ranks before it.

    Args:
        scores: shape (n, classes), the higher the likelier.
        labels: shape (n,), int, column of the right class.
        chunk: rows compared at once.

    Raises:
        ValueError: the shapes disagree, a label is no column, or a score is not a number.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"expected scores (n, classes) and labels (n,), got {scores.shape} and {labels.shape}"
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < scores.shape[1]):
        raise ValueError(
            f"expected labels from 0 to {scores.shape[1] - 1}, got {labels.min()} to {labels.max()}"
        )
    ranks = np.zeros(len(scores), np.int64)
    for start in range(0, len(scores), chunk):
        block = scores[start : start + chunk]
        if np.isnan(block).any():
            raise ValueError("expected numbers as scores, got NaN; did training diverge?")
        right = np.take_along_axis(block, labels[start : start + chunk, None], axis=1)
        ranks[start : start + chunk] = np.count_nonzero(block >= right, axis=1)
    return ranks


def hits(ranks: Ranks, k: int) -> Bools:
    """Whether each query's right answer is among the first `k`; a rank of 0 never is."""
    return (ranks >= 1) & (ranks <= k)


def top_k(ranks: Ranks, ks: Sequence[int] = TOP) -> dict[int, float]:
    """Return k → share of the queries, in [0, 1], whose right answer is among the first k.

    Raises:
        ValueError: there are no queries.
    """
    if not len(ranks):
        raise ValueError("expected at least one query, got none")
    return {k: float(hits(ranks, k).mean()) for k in ks}


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The queries of one product or category.

    Attributes:
        top: k → share of them, in [0, 1], whose right answer is among the first k.
        low, high: ends of the 95 % interval of the share for the first k.
    """

    name: str
    queries: int
    top: Mapping[int, float]
    low: float | None = None
    high: float | None = None


def by_group(
    ranks: Ranks,
    groups: Sequence[str | None],
    ks: Sequence[int] = TOP,
    *,
    clusters: Sequence[object] | None = None,
) -> list[GroupFigures]:
    """Return the figures of each group (a product, a category), the weakest first.

    Args:
        ranks: shape (n,).
        groups: for each query its group; None is a separate group, "" (no category known).
        ks: for top-k.
        clusters: for each query the product it belongs to, where groups hold several; see
            `satchel.intervals.interval`.

    Raises:
        ValueError: not one group for each query.
    """
    if len(groups) != len(ranks):
        raise ValueError(f"expected {len(ranks)} groups, one for each query, got {len(groups)}")
    rows = _rows_by_key([group or "" for group in groups])
    own = np.arange(len(ranks)) if clusters is None else np.array(clusters)
    figures = []
    for name, at in rows.items():
        first = interval(hits(ranks[at], ks[0]), own[at])
        figures.append(GroupFigures(name, len(at), top_k(ranks[at], ks), first.low, first.high))
    return sorted(figures, key=lambda group: ([group.top[k] for k in ks], group.name))


@dataclass(frozen=True, slots=True)
class Confusion:
    """Queries of one product for which another ranked first.

    Attributes:
        code: right product.
        taken_for: product that ranked first.
        count: how many queries.
        of: how many queries show `code`, right or wrong.
        examples: rows of the first few of those queries.
    """

    code: str
    taken_for: str
    count: int
    of: int
    examples: tuple[int, ...]


def confusions(
    codes: Sequence[str],
    first: Sequence[str | None],
    *,
    limit: int = 20,
    examples: int = 3,
) -> list[Confusion]:
    """Return the pairs of products that are confused most often, the most frequent first.

    Args:
        codes: for each query the right code.
        first: for each query the first candidate's code; None where there was no candidate,
            which is wrong and yet no confusion with anything.
        limit: how many pairs, at most; equal counts in the order of their share, then their codes.
        examples: rows for each pair, at most.

    Raises:
        ValueError: not one first candidate for each query.
    """
    wrong = [
        (code, taken, row)
        for row, (code, taken) in enumerate(zip(codes, first, strict=True))
        if taken is not None and taken != code
    ]
    rows = _rows_by_key([(code, taken) for code, taken, _ in wrong])
    of = Counter(codes)
    confusions = [
        Confusion(code, taken, len(at), of[code], tuple(wrong[place][2] for place in at[:examples]))
        for (code, taken), at in rows.items()
    ]
    confusions.sort(key=lambda pair: (-pair.count, pair.of, pair.code, pair.taken_for))
    return confusions[:limit]


def _rows_by_key(keys: Sequence[Key]) -> dict[Key, list[int]]:
    rows: dict[Key, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows
