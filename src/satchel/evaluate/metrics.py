"""Figures of classification, retrieval and identification, as pure functions on arrays.

Everything rests on ranks: 1 where the right answer comes first. A tie is counted against us: what
scores the same as the right answer stands before it, so that a figure never depends on the order
in which rows happen to be stored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.int64]
"""Shape (n,): rank of the right answer, 1 the best; 0 where it is not among the answers."""

Metric = Literal["cosine", "euclidean"]

Key = TypeVar("Key", bound=Hashable)

TOP: Final = (1, 2, 3, 5)

QUERY_BLOCK: Final = 1024
"""Queries that are scored together, against `chunk` photos of the gallery."""

DOUBLE_BYTES: Final = 8 * 2**20
"""Memory for the vectors that are held as float64 at a time."""

SMALLEST: Final = float(np.finfo(np.float32).smallest_normal)
LARGEST_NORM: Final = 1e15  # its square, and sums of it, stay far inside float32


# -- ranks -------------------------------------------------------------------------------------


def class_ranks(
    scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, chunk: int = 4096
) -> Ranks:
    """Rank the right class of each query; a wrong class with the same score goes before it.

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


def answer_ranks(answers: Sequence[Sequence[str]], codes: Sequence[str]) -> Ranks:
    """Rank the right code in each identification's codes, as answered; 0 where it is missing.

    Args:
        answers: for each query the codes of its candidates, likeliest first.
        codes: for each query the right code.

    Raises:
        ValueError: not one code for each query.
    """
    pairs = zip(answers, codes, strict=True)
    return np.array([list(a).index(code) + 1 if code in a else 0 for a, code in pairs], np.int64)


def hits(ranks: Ranks, k: int) -> npt.NDArray[np.bool_]:
    """Say for each query whether the right answer is among the first `k`; a rank of 0 never is."""
    return (ranks >= 1) & (ranks <= k)


def top_k(ranks: Ranks, ks: Sequence[int] = TOP) -> dict[int, float]:
    """Return k → share of the queries, in [0, 1], whose right answer is among the first k.

    Raises:
        ValueError: there are no queries.
    """
    if not len(ranks):
        raise ValueError("expected at least one query, got none")
    return {k: float(hits(ranks, k).mean()) for k in ks}


# -- retrieval ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """How well gallery photos of the right product come first.

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
    average_precision: npt.NDArray[np.float64]
    precision_at_r: npt.NDArray[np.float64]
    relevant: npt.NDArray[np.int64]


def retrieval(
    queries: npt.NDArray[Any],
    query_products: npt.NDArray[Any],
    gallery: npt.NDArray[Any],
    gallery_products: npt.NDArray[Any],
    *,
    own: npt.NDArray[np.int64] | None = None,
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

    Counting is done in float32 matrix products. Whatever lies closer to a right photo's score
    than float32 can tell is scored again in float64; what float64 cannot tell apart is a tie. So
    no result depends on `chunk`, and a copy of a right photo under a wrong product always counts
    against us.

    The gallery is read twice, front to back, and at the right photos: it may be a memory map.
    Time grows with n × g × d; memory, beside the arguments, does not, but for 8 bytes a gallery
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
    sides = _Sides(_Side(queries), _Side(gallery), metric)
    pairs = _right_pairs(of_queries, of_gallery, own, len(names))
    scores = sides.exact(pairs.query, pairs.row)
    # Within each query the nearest first: lexsort's last key is the first.
    scores = scores[np.lexsort((-scores, pairs.query))]
    before = _wrong_before(sides, of_queries, of_gallery, pairs, scores, chunk=chunk)
    return _figures(pairs, before, ks)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Queries with their right photos; those of query i lie at `starts[i]:starts[i + 1]`."""

    query: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    @property
    def relevant(self) -> npt.NDArray[np.int64]:
        return np.diff(self.starts)

    @property
    def place(self) -> npt.NDArray[np.int64]:
        """1 for each query's nearest right photo, 2 for the next …; shape (pairs,)."""
        return np.arange(len(self.query)) - self.starts[self.query] + 1


class _Side:
    """Vectors with their lengths in float64."""

    def __init__(self, vectors: npt.NDArray[Any]) -> None:
        self.vectors = vectors
        self.norms = np.zeros(len(vectors))
        step = max(1, DOUBLE_BYTES // (8 * max(1, vectors.shape[1])))
        for start in range(0, len(vectors), step):
            self.norms[start : start + step] = _lengths(vectors[start : start + step])
        if len(vectors) and not self.norms.max() < LARGEST_NORM:  # NaN is not, either
            raise ValueError("expected finite vectors, no longer than 1e15; got others")

    def unit(self, rows: slice) -> npt.NDArray[np.float32]:
        """The rows at length 1, or 0 where they are; float32."""
        norms = self.norms[rows, None]
        scaled = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        if scaled.size and scaled.max() > 1e30:  # subnormal lengths: float32 cannot hold 1/length
            return (self.vectors[rows] * scaled).astype(np.float32)
        unit: npt.NDArray[np.float32] = np.multiply(
            self.vectors[rows], scaled.astype(np.float32), dtype=np.float32
        )
        return unit

    def plain(self, rows: slice) -> npt.NDArray[np.float32]:
        """The rows as they are; float32."""
        return np.asarray(self.vectors[rows], np.float32)


def _lengths(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    doubles = vectors.astype(np.float64)
    lengths: npt.NDArray[np.float64] = np.sqrt(_row_products(doubles, doubles))
    return lengths


def _row_products(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Inner product of each row with its counterpart."""
    products: npt.NDArray[np.float64] = np.einsum("ij,ij->i", left, right)
    return products


class _Sides:
    """Queries and gallery, and how they are scored: the higher, the nearer.

    The score is the cosine, or minus the squared distance.
    """

    def __init__(self, queries: _Side, gallery: _Side, metric: Metric) -> None:
        self.queries = queries
        self.gallery = gallery
        self.metric = metric
        self.dimensions = queries.vectors.shape[1]

    def exact(
        self, query: npt.NDArray[np.int64], row: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Score pairs in float64; shape (pairs,)."""
        scores = np.zeros(len(query))
        step = max(1, DOUBLE_BYTES // (16 * max(1, self.dimensions)))
        for start in range(0, len(query), step):
            q, g = query[start : start + step], row[start : start + step]
            left = self.queries.vectors[q].astype(np.float64)
            right = self.gallery.vectors[g].astype(np.float64)
            if self.metric == "euclidean":
                left -= right
                scores[start : start + step] = -_row_products(left, left)
            else:
                products = _row_products(left, right)
                lengths = self.queries.norms[q] * self.gallery.norms[g]
                np.divide(products, lengths, out=products, where=lengths > 0)
                scores[start : start + step] = products
        return scores

    def rounding(
        self, bits: int, query: npt.NDArray[np.int64], longest: float
    ) -> npt.NDArray[np.float64]:
        """Bound the error of these queries' scores, computed in floats of so many bits.

        A sum of d products is off by at most d·u·|a|·|b| to first order (Higham, "Accuracy and
        Stability of Numerical Algorithms", section 3.1); the few operations around it add to d.
        """
        unit = (self.dimensions + 8) * 0.5**bits
        if self.metric == "cosine":
            return np.full(len(query), 2 * unit)
        bound: npt.NDArray[np.float64] = 2 * unit * (self.queries.norms[query] + longest) ** 2
        return bound

    def gallery_block(self, rows: slice) -> npt.NDArray[np.float32]:
        return self.gallery.unit(rows) if self.metric == "cosine" else self.gallery.plain(rows)

    def approximate(
        self, query: slice, block: npt.NDArray[np.float32], rows: slice
    ) -> npt.NDArray[np.float32]:
        """Score queries against a block of the gallery in float32; shape (queries, block)."""
        if self.metric == "cosine":
            cosines: npt.NDArray[np.float32] = self.queries.unit(query) @ block.T
            return cosines
        scores: npt.NDArray[np.float32] = (2 * self.queries.plain(query)) @ block.T
        scores -= np.square(self.queries.norms[query, None]).astype(np.float32)
        scores -= np.square(self.gallery.norms[rows]).astype(np.float32)
        return scores


def _check_retrieval(
    queries: npt.NDArray[Any],
    query_products: npt.NDArray[Any],
    gallery: npt.NDArray[Any],
    gallery_products: npt.NDArray[Any],
    own: npt.NDArray[np.int64] | None,
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
    own: npt.NDArray[np.int64],
    of_queries: npt.NDArray[np.int32],
    of_gallery: npt.NDArray[np.int32],
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
    own: npt.NDArray[np.int64] | None,
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
    sides: _Sides,
    of_queries: npt.NDArray[np.int32],
    of_gallery: npt.NDArray[np.int32],
    pairs: _Pairs,
    scores: npt.NDArray[np.float64],
    *,
    chunk: int,
) -> npt.NDArray[np.int64]:
    """Count for each pair the wrong photos that score at least as much as its right one.

    Past rank R the count stops being exact, but for each query's first right photo: nothing
    depends on it there.
    """
    before = np.zeros(len(scores), np.int64)
    place = pairs.place
    most = pairs.relevant[pairs.query] - place  # wrong photos before it, if its rank is ≤ R
    most[place == 1] = len(of_gallery)
    longest = float(sides.gallery.norms.max(initial=0))
    for start in range(0, len(of_gallery), chunk):
        rows = slice(start, start + chunk)
        block = sides.gallery_block(rows)
        for first in range(0, len(of_queries), QUERY_BLOCK):
            asked = slice(first, min(first + QUERY_BLOCK, len(of_queries)))
            mine = slice(pairs.starts[asked.start], pairs.starts[asked.stop])
            open_pairs = mine.start + np.flatnonzero(before[mine] <= most[mine])
            if not len(open_pairs):
                continue
            found = sides.approximate(asked, block, rows)
            found[of_queries[asked, None] == of_gallery[None, rows]] = -np.inf
            for turn in _one_per_query(open_pairs, place):
                before[turn] += _count(
                    sides,
                    found,
                    first_query=first,
                    first_row=start,
                    query=pairs.query[turn],
                    score=scores[turn],
                    longest=longest,
                )
    return before


def _one_per_query(
    open_pairs: npt.NDArray[np.int64], place: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.int64]]:
    """Divide pairs into groups without a query twice."""
    order = np.argsort(place[open_pairs], kind="stable")
    ordered = open_pairs[order]
    yield from np.split(ordered, np.flatnonzero(np.diff(place[ordered])) + 1)


def _count(
    sides: _Sides,
    found: npt.NDArray[np.float32],
    *,
    first_query: int,
    first_row: int,
    query: npt.NDArray[np.int64],
    score: npt.NDArray[np.float64],
    longest: float,
) -> npt.NDArray[np.int64]:
    """Count for each query the columns of `found` that reach `score`.

    Args:
        sides: for scoring again what is too close.
        found: scores of a block of queries and a block of the gallery, float32.
        first_query, first_row: where the block begins.
        query: ascending, without repeats; shape (m,).
        score: shape (m,).
        longest: gallery vector's length.
    """
    # What is too small for float32 to hold may be lost entirely, in each of the d products.
    doubt = sides.rounding(24, query, longest) + (sides.dimensions + 8) * SMALLEST
    tie = sides.rounding(53, query, longest)
    low = (score - doubt).astype(np.float32)
    high = np.nextafter((score + doubt).astype(np.float32), np.float32(np.inf))
    low = np.nextafter(low, np.float32(-np.inf))
    rows = found if len(query) == len(found) else found[query - first_query]
    surely = rows > high[:, None]
    counts: npt.NDArray[np.int64] = np.count_nonzero(surely, axis=1)
    perhaps = rows >= low[:, None]
    close = np.flatnonzero(np.count_nonzero(perhaps, axis=1) > counts)
    if len(close):
        at, column = np.nonzero(perhaps[close] & ~surely[close])
        at = close[at]
        reaches = sides.exact(query[at], first_row + column) >= score[at] - tie[at]
        counts = counts + np.bincount(at[reaches], minlength=len(query))
    return counts


def _figures(pairs: _Pairs, before: npt.NDArray[np.int64], ks: Sequence[int]) -> Retrieval:
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


# -- groups and confusions ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The queries of one product or category.

    Attributes:
        top: k → share of them, in [0, 1], whose right answer is among the first k.
    """

    name: str
    queries: int
    top: Mapping[int, float]


def by_group(
    ranks: Ranks, groups: Sequence[str | None], ks: Sequence[int] = TOP
) -> list[GroupFigures]:
    """Return the figures of each group (a product, a category), the weakest first.

    Args:
        ranks: shape (n,).
        groups: for each query its group; None stands apart, as "" (no category known).
        ks: for top-k.

    Raises:
        ValueError: not one group for each query.
    """
    if len(groups) != len(ranks):
        raise ValueError(f"expected {len(ranks)} groups, one for each query, got {len(groups)}")
    rows = _rows_by_key([group or "" for group in groups])
    figures = [GroupFigures(name, len(at), top_k(ranks[at], ks)) for name, at in rows.items()]
    return sorted(figures, key=lambda group: ([group.top[k] for k in ks], group.name))


@dataclass(frozen=True, slots=True)
class Confusion:
    """Queries of one product that were taken for another.

    Attributes:
        code: what they show.
        taken_for: what came first.
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
    found = [
        Confusion(code, taken, len(at), of[code], tuple(wrong[place][2] for place in at[:examples]))
        for (code, taken), at in rows.items()
    ]
    found.sort(key=lambda pair: (-pair.count, pair.of, pair.code, pair.taken_for))
    return found[:limit]


def _rows_by_key(keys: Sequence[Key]) -> dict[Key, list[int]]:
    rows: dict[Key, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows


# -- confidence --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Queries whose confidences lie together.

    Attributes:
        confidence: their mean, in [0, 1].
        accuracy: share of them whose first candidate is right, in [0, 1].
        queries: how many.
    """

    confidence: float
    accuracy: float
    queries: int


def reliability(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], *, bins: int = 10
) -> tuple[tuple[ConfidenceBin, ...], float]:
    """Hold confidences against what came of them.

    Args:
        confidence: shape (n,), of each first candidate, in [0, 1].
        right: shape (n,), whether it was right.
        bins: of equal width; empty ones are left out.

    Returns:
        The bins, ascending, and the expected calibration error in [0, 1]: the mean over the
        queries of |confidence − accuracy| of their bin (Guo et al., "On Calibration of Modern
        Neural Networks", ICML 2017, equation 3).

    Raises:
        ValueError: shapes disagree, there is no query, or a confidence is out of range.
    """
    if confidence.shape != right.shape or confidence.ndim != 1 or not len(confidence):
        raise ValueError(
            f"expected one confidence and one outcome for each of some queries, "
            f"got {confidence.shape} and {right.shape}"
        )
    if not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("expected confidences in [0, 1], got others")
    number = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(number, minlength=bins)
    used = counts > 0
    mean = np.bincount(number, confidence, bins)[used] / counts[used]
    accuracy = np.bincount(number, right, bins)[used] / counts[used]
    error = float(np.abs(mean - accuracy) @ counts[used] / len(confidence))
    columns = zip(mean.tolist(), accuracy.tolist(), counts[used].tolist(), strict=True)
    return tuple(ConfidenceBin(*row) for row in columns), error
