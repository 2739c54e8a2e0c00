"""Retrieval figures, exactly and in bounded memory: Recall@k, MAP@R, R-precision.

Ties are pessimistic; see `satchel.evaluate.ranks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from satchel.arrays import Doubles, Floats, Ints
from satchel.evaluate.ranks import TOP, Ranks, top_k
from satchel.evaluate.scoring import SMALLEST, Metric, Scorer, Side

QUERY_BLOCK: Final = 1024
"""Queries that are scored together, against `chunk` photos of the gallery."""


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """Retrieval figures of a set of queries.

    A query whose product has no photo in the gallery (but itself) cannot be answered. Such
    queries are counted in `unanswerable` and left out of the means; the arrays keep their place.

    Attributes:
        recall_at: k → share of the answerable queries with a right photo among the first k.
        map_at_r: mean of `average_precision`, in [0, 1].
        r_precision: mean of `precision_at_r`, in [0, 1].
        answerable: how many queries the means are over; without any, they are NaN.
        unanswerable: how many queries have no right photo in the gallery.
        first_rank: shape (n,), int64: rank of the first right photo; 0 where there is none.
        average_precision: shape (n,), float64: AP@R of each query; NaN where R = 0.
        precision_at_r: shape (n,), float64: share of right photos among the first R; likewise.
        relevant: shape (n,), int64: R, the right photos in the gallery.
    """

    recall_at: Mapping[int, float]
    map_at_r: float
    r_precision: float
    answerable: int
    unanswerable: int
    first_rank: Ranks
    average_precision: Doubles
    precision_at_r: Doubles
    relevant: Ints


def retrieval(
    queries: npt.NDArray[Any],
    query_products: npt.NDArray[Any],
    gallery: npt.NDArray[Any],
    gallery_products: npt.NDArray[Any],
    *,
    own: Ints | None = None,
    metric: Metric = "cosine",
    ks: Sequence[int] = TOP,
    chunk: int = 8192,
) -> Retrieval:
    """Measure retrieval exactly, in memory that does not grow with the gallery.

    With R right photos in the gallery, and the j-th nearest of them at rank r_j,

        Recall@k     1 if r_1 ≤ k, else 0
        R-precision  |{j : r_j ≤ R}| / R
        AP@R         1/R · Σ_{j : r_j ≤ R} j / r_j

    as in Musgrave, Belongie and Lim, "A Metric Learning Reality Check", ECCV 2020, section 3.2
    (MAP@R is the mean of AP@R; they write P(i), the precision at rank i, for j / r_j). So the
    ranks of the right photos are all that is needed, and r_j is j plus the number of wrong photos
    that score at least what the right one does: no neighbours are stored, only counted.

    Counting is done in float32 matrix products. Whatever is closer to a right photo's score
    than float32 can resolve is scored again in float64; equal float64 scores are a tie. So
    no result depends on `chunk`, and a copy of a right photo under a wrong product ranks
    before it.

    The gallery is read twice, front to back, and at the right photos: it may be a memory map.
    Time grows with n × g × d; memory, apart from the arguments, does not, but for 8 bytes a gallery
    photo and some 60 for each pair of a query and a right photo.

    Args:
        queries: shape (n, d), float32 or float16.
        query_products: shape (n,), ids or codes.
        gallery: shape (g, d), float32 or float16.
        gallery_products: shape (g,).
        own: shape (n,), for each query the gallery row that is the query itself and is left out
            of its search (leave-one-out within one set); -1 where it is not in the gallery.
        metric: `cosine`, or `euclidean` for the distance. For a Mahalanobis distance whiten both
            sides first. The cosine with a vector of length 0 is 0.
        ks: for Recall@k.
        chunk: gallery photos scored at once.

    Raises:
        ValueError: shapes disagree, a vector is not finite or longer than 1e15, or `own` names a
            row of another product.
    """
    _check_retrieval(queries, query_products, gallery, gallery_products, own)
    names, numbers = np.unique(
        np.concatenate([gallery_products, query_products]), return_inverse=True
    )
    of_gallery = numbers[: len(gallery)].astype(np.int32)
    of_queries = numbers[len(gallery) :].astype(np.int32)
    if own is not None:
        _check_own(own, of_queries, of_gallery)
    scorer = Scorer(Side(queries), Side(gallery), metric)
    pairs = _right_pairs(of_queries, of_gallery, own, len(names))
    scores = scorer.exact(pairs.query, pairs.row)
    # Within each query the nearest first: lexsort's last key is the first.
    scores = scores[np.lexsort((-scores, pairs.query))]
    before = _wrong_before(scorer, of_queries, of_gallery, pairs, scores, chunk=chunk)
    return _figures(pairs, before, ks)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Queries with their right photos; those of query i are `starts[i]:starts[i + 1]`."""

    query: Ints
    row: Ints
    starts: Ints

    @property
    def relevant(self) -> Ints:
        return np.diff(self.starts)

    @property
    def place(self) -> Ints:
        """1 for each query's nearest right photo, 2 for the next …; shape (pairs,)."""
        return np.arange(len(self.query)) - self.starts[self.query] + 1


def _check_retrieval(
    queries: npt.NDArray[Any],
    query_products: npt.NDArray[Any],
    gallery: npt.NDArray[Any],
    gallery_products: npt.NDArray[Any],
    own: Ints | None,
) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"expected queries (n, d) and gallery (g, d), got {queries.shape} and {gallery.shape}"
        )
    if query_products.shape != queries.shape[:1] or gallery_products.shape != gallery.shape[:1]:
        raise ValueError(
            f"expected one product for each vector, got {query_products.shape} for "
            f"{len(queries)} queries and {gallery_products.shape} for {len(gallery)} photos"
        )
    if own is not None and (
        own.shape != queries.shape[:1]
        or (len(own) and not (own.min() >= -1 and own.max() < len(gallery)))
    ):
        raise ValueError(f"expected `own` (n,), rows from -1 to {len(gallery) - 1}")


def _check_own(
    own: Ints, of_queries: npt.NDArray[np.int32], of_gallery: npt.NDArray[np.int32]
) -> None:
    inside = np.flatnonzero(own >= 0)
    others = inside[of_gallery[own[inside]] != of_queries[inside]]
    if len(others):
        raise ValueError(
            f"expected `own` to name the query itself, got for query {others[0]} the gallery row "
            f"{own[others[0]]}, which shows another product"
        )


def _right_pairs(
    of_queries: npt.NDArray[np.int32],
    of_gallery: npt.NDArray[np.int32],
    own: Ints | None,
    products: int,
) -> _Pairs:
    """Pair every query with the gallery rows of its product, but for itself."""
    by_product = np.argsort(of_gallery, kind="stable")
    sizes = np.bincount(of_gallery, minlength=products)
    begins = np.r_[0, np.cumsum(sizes)]
    counts = sizes[of_queries]
    query = np.repeat(np.arange(len(of_queries)), counts)
    within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    row = by_product[begins[of_queries[query]] + within]
    if own is not None:
        other = row != own[query]
        query, row = query[other], row[other]
    counts = np.bincount(query, minlength=len(of_queries))
    return _Pairs(query, row, np.r_[0, np.cumsum(counts)])


def _wrong_before(
    scorer: Scorer,
    of_queries: npt.NDArray[np.int32],
    of_gallery: npt.NDArray[np.int32],
    pairs: _Pairs,
    scores: Doubles,
    *,
    chunk: int,
) -> Ints:
    """Count for each pair the wrong photos that score at least as much as its right one.

    Past rank R the count stops being exact, but for each query's first right photo: nothing
    depends on it there.
    """
    before = np.zeros(len(scores), np.int64)
    place = pairs.place
    most = pairs.relevant[pairs.query] - place  # wrong photos before it, if its rank is ≤ R
    most[place == 1] = len(of_gallery)
    longest = float(scorer.gallery.norms.max(initial=0))
    for start in range(0, len(of_gallery), chunk):
        rows = slice(start, start + chunk)
        block = scorer.gallery_block(rows)
        for first in range(0, len(of_queries), QUERY_BLOCK):
            some = slice(first, min(first + QUERY_BLOCK, len(of_queries)))
            mine = slice(pairs.starts[some.start], pairs.starts[some.stop])
            open_pairs = mine.start + np.flatnonzero(before[mine] <= most[mine])
            if not len(open_pairs):
                continue
            cosines = scorer.approximate(some, block, rows)
            cosines[of_queries[some, None] == of_gallery[None, rows]] = -np.inf
            for turn in _one_per_query(open_pairs, place):
                before[turn] += _count(
                    scorer,
                    cosines,
                    first_query=first,
                    first_row=start,
                    query=pairs.query[turn],
                    score=scores[turn],
                    longest=longest,
                )
    return before


def _one_per_query(open_pairs: Ints, place: Ints) -> Iterator[Ints]:
    """Divide pairs into groups without a query twice."""
    order = np.argsort(place[open_pairs], kind="stable")
    ordered = open_pairs[order]
    yield from np.split(ordered, np.flatnonzero(np.diff(place[ordered])) + 1)


def _count(
    scorer: Scorer,
    found: Floats,
    *,
    first_query: int,
    first_row: int,
    query: Ints,
    score: Doubles,
    longest: float,
) -> Ints:
    """Count for each query the columns of `found` that reach `score`.

    Args:
        scorer: computes exact scores of close pairs.
        found: scores of a block of queries and a block of the gallery, float32.
        first_query, first_row: where the block begins.
        query: ascending, without repeats; shape (m,).
        score: shape (m,).
        longest: gallery vector's length.
    """
    # What is too small for float32 to hold may be lost entirely, in each of the d products.
    doubt = scorer.rounding(24, query, longest) + (scorer.dimensions + 8) * SMALLEST
    tie = scorer.rounding(53, query, longest)
    low = (score - doubt).astype(np.float32)
    high = np.nextafter((score + doubt).astype(np.float32), np.float32(np.inf))
    low = np.nextafter(low, np.float32(-np.inf))
    rows = found if len(query) == len(found) else found[query - first_query]
    surely = rows > high[:, None]
    counts: Ints = np.count_nonzero(surely, axis=1)
    perhaps = rows >= low[:, None]
    close = np.flatnonzero(np.count_nonzero(perhaps, axis=1) > counts)
    if len(close):
        at, column = np.nonzero(perhaps[close] & ~surely[close])
        at = close[at]
        reaches = scorer.exact(query[at], first_row + column) >= score[at] - tie[at]
        counts = counts + np.bincount(at[reaches], minlength=len(query))
    return counts


def _figures(pairs: _Pairs, before: Ints, ks: Sequence[int]) -> Retrieval:
    relevant = pairs.relevant
    answerable = relevant > 0
    rank = pairs.place + before
    counted = rank <= relevant[pairs.query]
    queries = len(relevant)
    with np.errstate(invalid="ignore"):  # 0 / 0: no right photo, no figure
        shares = np.where(counted, pairs.place / rank, 0.0)
        average_precision = np.bincount(pairs.query, shares, queries) / relevant
        precision_at_r = np.bincount(pairs.query, counted, queries) / relevant
    first_rank = np.zeros(queries, np.int64)
    first_rank[answerable] = rank[pairs.starts[:-1][answerable]]
    some = bool(answerable.any())
    return Retrieval(
        top_k(first_rank[answerable], ks) if some else dict.fromkeys(ks, math.nan),
        float(average_precision[answerable].mean()) if some else math.nan,
        float(precision_at_r[answerable].mean()) if some else math.nan,
        int(answerable.sum()),
        int(queries - answerable.sum()),
        first_rank,
        average_precision,
        precision_at_r,
        relevant,
    )
