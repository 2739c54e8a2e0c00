"""Gallery photos → products: scores, and their order. What they are worth: `confidence`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.search.index import GalleryIndex
from satchel.search.matching import Matcher
from satchel.search.rivals import shares_of

Floats = npt.NDArray[np.float32]
Nearest = list[npt.NDArray[np.int64]]
"""Rows of pictures, of each product."""

NEIGHBOURS: Final = 200
"""Gallery photos first looked at for each query photo; doubled until enough products show up."""

SHARPNESS: Final = 10.0
"""How much more a product's nearer photos count than its farther ones."""

POOL: Final = 50
"""Products among which confidence is shared out."""

MATCHED: Final = 20
"""Products that are looked at closely."""

ALIKE: Final = 1e-6
"""Spread below which figures are equal but for rounding."""

PICTURES: Final = 5
"""Pictures of a product that are looked at closely, at most."""


@dataclass(frozen=True, slots=True)
class RankedProduct:
    """A product and its score.

    Attributes:
        product: database id.
        score: cosine in [-1, 1].
        photo: SHA-256 of its gallery photo that is nearest to the query.
        colours: likeness of its colours, of the likest of its photos; in [0, 1].
        parts: how much of the item's parts its pictures have; in [-1, 1].

    Colours and parts are None beyond the first `MATCHED`, parts also without a matcher.
    """

    product: int
    score: float
    photo: str
    colours: float | None = None
    parts: float | None = None


def rank_products(
    index: GalleryIndex,
    queries: Floats,
    *,
    top: int,
    matcher: Matcher | None = None,
    matched: int = MATCHED,
    without: int | None = None,
) -> list[RankedProduct]:
    """Rank the products of the gallery for one item.

    A product's score for one photo is the mean of the cosines to its gallery photos, each with
    the weight exp(`SHARPNESS` × cosine): the nearer, the more it counts. Cosines are taken in
    the index's space, where colours count too. For several photos of the item it is the mean over
    them. Those that come first are then looked at more closely, each with its `PICTURES` nearest
    pictures. How much of the photo they make up beside those of the others counts
    `rival_weight` × (1 − 1 / n) beside the score, n being how many pictures these products have on
    average; and what the photo finds of its parts in the best of them `patch_weight` / n², both
    being brought to one spread among these products.
    Chosen by measurement: docs/decisions/0005-ranking.md, 0012-ranking.md, 0017-local-matching.md
    and 0020-re-ranking.md.

    Args:
        index: of at least one photo.
        queries: shape (q, d + c), float32, the item's photos; see `Embedded.described`.
        top: how many products to return, at most.
        matcher: of the item's photos, in the order of `queries`; without one, parts count nothing.
        matched: how many products are looked at closely; the others count as the worst of these.
        without: id of a product that is passed over, as if it were not in the catalogue.

    Returns:
        At most `top` products, best first; equal scores in the order of their ids. None where the
        only product is passed over.
    """
    queries = index.prepared(queries)
    candidates = _candidates(index, queries, max(top, POOL) + (without is not None))
    candidates = candidates[candidates != without]
    if not len(candidates):
        return []
    seen, scores = _scored(index, queries, candidates, max(top, POOL))
    scores, evidence = _weighed(seen.first(matched), queries, scores, matcher)
    ranked = []
    for place in np.argsort(-scores, kind="stable")[:top]:
        score = float(np.clip(scores[place], -1, 1))
        known = [None if np.isnan(one) else float(one) for one in evidence[place]]
        product = int(seen.products[place])
        ranked.append(RankedProduct(product, score, seen.nearest_photo(place), *known))
    return ranked


def _scored(
    index: GalleryIndex, queries: Floats, candidates: npt.NDArray[np.int64], count: int
) -> tuple[_Seen, Floats]:
    """The `count` candidates, at most, whose pictures are nearest, and their scores, descending."""
    rows = index.rows_of(candidates)
    vectors = index.gallery.vectors[rows]
    cosines = queries @ vectors.T
    starts = np.flatnonzero(np.r_[True, np.diff(index.gallery.products[rows]) > 0])
    ends = np.r_[starts[1:], len(rows)]
    weights = np.exp(SHARPNESS * cosines)
    scores = np.add.reduceat(weights * cosines, starts, axis=1)
    scores = (scores / np.add.reduceat(weights, starts, axis=1)).mean(0)
    first = np.argsort(-scores, kind="stable")[:count]
    spans = [(int(starts[at]), int(ends[at])) for at in first]
    return _Seen(index, candidates[first], rows, vectors, cosines, spans), scores[first]


def _weighed(
    seen: _Seen, queries: Floats, scores: Floats, matcher: Matcher | None
) -> tuple[Floats, Floats]:
    """Scores with what a closer look tells beside them, and what colours and parts say alone.

    Args:
        seen: the products that are looked at closely, the first of those that have a score.

    Returns:
        scores, same shape (products,); and colours and parts, shape (products, 2), NaN where not
        known.
    """
    rules, count = seen.index.rules, len(seen.spans)
    evidence = np.full((len(scores), 2), np.nan, np.float32)
    evidence[:count, 0] = seen.colours(queries)
    near = [seen.nearest(cosines) for cosines in seen.cosines]
    # One picture of each is compared as it is: only several show what is news in which.
    if weight := rules.rival_weight * (1 - 1 / seen.pictures):
        scores = _beside(scores, seen.rivals(queries, near), weight)
    if matcher is not None and seen.index.space and rules.patch_weight:
        parts = evidence[:count, 1] = seen.matched(matcher, near)
        # Where products have several pictures, vectors know what changes from one to the next, and
        # their mean is surer than the parts of one of them.
        weight = rules.patch_weight / seen.pictures**2
        scores = _beside(scores, parts, weight * _spread(scores[:count], parts))
    return scores, evidence


@dataclass(frozen=True, slots=True)
class _Seen:
    """Products, best first, and what the item's photos have in common with their pictures.

    Attributes:
        products: their ids.
        rows: of the index, all pictures of all candidates.
        vectors: shape (rows, d), of these.
        cosines: shape (q, rows).
        spans: of each product, its first row among them and the one behind its last.
    """

    index: GalleryIndex
    products: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    vectors: Floats
    cosines: Floats
    spans: Sequence[tuple[int, int]]

    def first(self, count: int) -> _Seen:
        """The best of them."""
        return replace(self, products=self.products[:count], spans=self.spans[:count])

    def nearest_photo(self, place: int) -> str:
        """SHA-256 of the picture of one product that is nearest to any of the photos."""
        start, end = self.spans[place]
        return self.index.photo(self.rows[start + self.cosines[:, start:end].max(0).argmax()])

    @property
    def pictures(self) -> float:
        """How many pictures these products have, on average."""
        return float(np.mean([end - start for start, end in self.spans]))

    def nearest(self, cosines: Floats) -> Nearest:
        """Rows of each product's `PICTURES` nearest pictures, by one photo's cosines."""
        return [start + np.argsort(-cosines[start:end])[:PICTURES] for start, end in self.spans]

    def colours(self, queries: Floats) -> Floats:
        """Likeness of the likest picture's colours, mean over the photos; shape (products,)."""
        found = self.index.colours(queries) @ self.index.colours(self.vectors).T
        of_each = [found[:, start:end].max(1).mean() for start, end in self.spans]
        return np.array(of_each, np.float32)

    def rivals(self, queries: Floats, nearest: Sequence[Nearest]) -> Floats:
        """How much of a photo each product makes up, mean over the photos; shape (products,)."""
        found = []
        for query, near in zip(queries, nearest, strict=True):
            products = np.repeat(np.arange(len(near)), [len(rows) for rows in near])
            pictures = self.vectors[np.concatenate(near)]
            found.append(shares_of(query, pictures, products, len(near)))
        mean: Floats = np.mean(found, axis=0)
        return mean

    def matched(self, matcher: Matcher, nearest: Sequence[Nearest]) -> Floats:
        """How much of the item's parts products' nearest pictures have, the best one of each.

        Returns:
            shape (products,), float32: mean over the item's photos.
        """
        photos = self.index.photo
        names = [[photos(self.rows[at]) for at in np.concatenate(near)] for near in nearest]
        firsts = np.cumsum([0, *(len(near) for near in nearest[0][:-1])])
        of_pictures = matcher.scores(self.index.space, names)
        found: Floats = np.maximum.reduceat(of_pictures, firsts, axis=1).mean(0)
        return found


def _beside(scores: Floats, shares: Floats, weight: float) -> Floats:
    """Scores with another figure beside them; products that have none count as the worst."""
    every = np.full(len(scores), shares.min(), np.float32)
    every[: len(shares)] = shares
    return ((scores + weight * every) / (1 + weight)).astype(np.float32, copy=False)


def _spread(scores: Floats, shares: Floats) -> float:
    """How much wider scores are spread than shares, which is nothing where shares are all alike."""
    return float(scores.std() / shares.std()) if shares.std() > ALIKE else 0.0


def _candidates(index: GalleryIndex, queries: Floats, wanted: int) -> npt.NDArray[np.int64]:
    """Return the ids, ascending, of at least `wanted` products near any query, if there are."""
    k = NEIGHBOURS
    while True:
        _, rows = index.search(queries, k)
        found = np.unique(index.gallery.products[rows])
        if len(found) >= wanted or k >= len(index):
            return found
        k *= 2
