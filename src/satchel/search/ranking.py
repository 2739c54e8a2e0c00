"""Rank products: nearest gallery photos → product scores → re-ranked candidates.

How confident an answer is: `satchel.confidence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from satchel.arrays import Bools, Floats, Ints
from satchel.search.index import GalleryIndex
from satchel.search.patch_matching import PatchMatcher
from satchel.search.reranking import collaborative_scores

Nearest = list[Ints]
"""For each product, positions of its nearest photos in `_Shortlist.rows`."""

NEIGHBOURS: Final = 200
"""Gallery photos retrieved for each query photo; doubled until there are enough products."""

SHARPNESS: Final = 10.0
"""How much more a product's nearer photos count than its farther ones."""

POOL: Final = 50
"""Products over which confidence is distributed."""

RERANKED: Final = 20
"""Products that are re-ranked."""

PHOTOS_PER_PRODUCT: Final = 5
"""Photos of a product that re-ranking compares, at most."""

EPSILON: Final = 1e-6
"""Standard deviation below which values are equal but for rounding."""


@dataclass(frozen=True, slots=True)
class RankedProduct:
    """A product and its score.

    Attributes:
        product: database id.
        score: standard cosine in [-1, 1]; see `GalleryIndex.standard`.
        photo: SHA-256 of its gallery photo that is nearest to the query.
        photos: how many gallery photos it has, ≥ 1.
        colour_similarity: of the photo with the most similar colours, in [0, 1].
        patch_similarity: of the photo with the most similar patches, in [-1, 1].

    Both similarities are None beyond the first `RERANKED`; the second also without a matcher.
    """

    product: int
    score: float
    photo: str
    photos: int
    colour_similarity: float | None = None
    patch_similarity: float | None = None


def rank_products(
    index: GalleryIndex,
    queries: Floats,
    *,
    top: int,
    matcher: PatchMatcher | None = None,
    reranked: int = RERANKED,
    without: int | None = None,
    without_rows: Sequence[int] = (),
    only: Ints | None = None,
) -> list[RankedProduct]:
    """Rank the products of the gallery for one item.

    1. A product's score for one query photo is the mean of the cosines to its gallery photos, each
       with the weight exp(`SHARPNESS` × cosine). Cosines are standard and include colours; see
       `GalleryIndex`. Several query photos: the mean over them.
    2. The first `reranked` products are compared by their `PHOTOS_PER_PRODUCT` nearest photos. With
       n, the mean number of photos of these products, two terms are interpolated with the score:
       collaborative scores with the weight `rerank_weight` × (1 − 1 / n), and patch similarities,
       scaled to the scores' standard deviation, with the weight `patch_weight` / n².

    Measured in docs/decisions/0005-ranking.md, 0012-ranking.md, 0017-local-matching.md and
    0020-re-ranking.md.

    Args:
        index: of at least one photo.
        queries: shape (q, d + c), float32, the item's photos; see `PhotoEmbedding.descriptor`.
        top: how many products to return, at most.
        matcher: of the item's photos, in the order of `queries`; None leaves patches out.
        reranked: how many products are re-ranked; the others get the lowest term of these.
        without: id of a product to leave out.
        without_rows: rows of the index to leave out: the query itself, where it is a gallery photo,
            and other photos of the very same item.
        only: shape (m,), int64, ids of the products that may be returned: the ranking is that of a
            gallery with no others, under the whitening of the whole one. None for all.

    Returns:
        At most `top` products, best first; equal scores in the order of their ids. Empty where
        everything is left out.
    """
    queries = index.prepared(queries)
    wanted = max(top, POOL) + (without is not None) + len(without_rows)
    among = None if only is None else np.isin(index.gallery.products, only)
    candidates = _candidates(index, queries, wanted, among)
    rows = index.rows_of(candidates[candidates != without])
    if without_rows:
        rows = rows[~np.isin(rows, without_rows)]
    if not len(rows):
        return []
    shortlist, scores = _shortlist(index, queries, rows, max(top, POOL))
    scores, similarities = _rerank(shortlist.first(reranked), queries, scores, matcher)
    ranked = []
    for place in np.argsort(-scores, kind="stable")[:top]:
        score = float(np.clip(scores[place], -1, 1))
        known = [None if np.isnan(one) else float(one) for one in similarities[place]]
        product = int(shortlist.products[place])
        photo, photos = shortlist.nearest_photo(place), shortlist.photos(place)
        ranked.append(RankedProduct(product, score, photo, photos, *known))
    return ranked


def _candidates(index: GalleryIndex, queries: Floats, wanted: int, among: Bools | None) -> Ints:
    """Return the ids, ascending, of at least `wanted` products near any query, if there are.

    Args:
        among: shape (n,), the rows of the index that count; None for all.
    """
    k = NEIGHBOURS
    while True:
        _, rows = index.search(queries, k, among=among)
        products = np.unique(index.gallery.products[rows])
        if len(products) >= wanted or k > rows.shape[1]:
            return products
        k *= 2


def _shortlist(
    index: GalleryIndex, queries: Floats, rows: Ints, count: int
) -> tuple[_Shortlist, Floats]:
    """Score the products of these rows and keep the first `count`; scores are descending."""
    vectors = index.vectors_of(rows)
    cosines = index.standard(queries @ vectors.T)
    products, starts = np.unique(index.gallery.products[rows], return_index=True)
    ends = np.r_[starts[1:], len(rows)]
    weights = np.exp(SHARPNESS * cosines)
    scores = np.add.reduceat(weights * cosines, starts, axis=1)
    scores = (scores / np.add.reduceat(weights, starts, axis=1)).mean(0)
    first = np.argsort(-scores, kind="stable")[:count]
    spans = [(int(starts[i]), int(ends[i])) for i in first]
    return _Shortlist(index, products[first], rows, vectors, cosines, spans), scores[first]


def _rerank(
    shortlist: _Shortlist, queries: Floats, scores: Floats, matcher: PatchMatcher | None
) -> tuple[Floats, Floats]:
    """Interpolate the scores of the first products with re-ranking terms.

    Args:
        shortlist: the products to compare, the first of those that have a score.

    Returns:
        scores, same shape (products,); and colour and patch similarities, shape (products, 2), NaN
        where not known.
    """
    rules, count = shortlist.index.rules, len(shortlist.spans)
    similarities = np.full((len(scores), 2), np.nan, np.float32)
    similarities[:count, 0] = shortlist.colour_similarities(queries)
    nearest = [shortlist.nearest(cosines) for cosines in shortlist.cosines]
    # With one photo per product, reconstruction adds nothing to the cosine.
    if weight := rules.rerank_weight * (1 - 1 / shortlist.mean_photos):
        scores = _interpolate(scores, shortlist.collaborative_scores(queries, nearest), weight)
    if matcher is not None and shortlist.index.space and shortlist.index.patch_weight:
        patches = similarities[:count, 1] = shortlist.patch_similarities(matcher, nearest)
        # With several photos per product, the mean of vectors covers what changes between photos
        # and is more reliable than the patches of one of them.
        weight = shortlist.index.patch_weight / shortlist.mean_photos**2
        scores = _interpolate(scores, patches, weight * _scale(scores[:count], patches))
    return scores, similarities


@dataclass(frozen=True, slots=True)
class _Shortlist:
    """Products, best first, and the similarity of the item's photos to all candidates' photos.

    Attributes:
        products: their ids.
        rows: of the index, all photos of all candidates.
        vectors: shape (rows, d), of these.
        cosines: shape (q, rows).
        spans: for each product, start and end of its photos in `rows`.
    """

    index: GalleryIndex
    products: Ints
    rows: Ints
    vectors: Floats
    cosines: Floats
    spans: Sequence[tuple[int, int]]

    def first(self, count: int) -> _Shortlist:
        """Return the best `count` products."""
        return replace(self, products=self.products[:count], spans=self.spans[:count])

    def nearest_photo(self, place: int) -> str:
        """SHA-256 of the photo of one product that is nearest to any query photo."""
        start, end = self.spans[place]
        return self.index.photo(self.rows[start + self.cosines[:, start:end].max(0).argmax()])

    def photos(self, place: int) -> int:
        """Number of gallery photos of one product."""
        start, end = self.spans[place]
        return end - start

    @property
    def mean_photos(self) -> float:
        """Mean number of photos of these products."""
        return float(np.mean([end - start for start, end in self.spans]))

    def nearest(self, cosines: Floats) -> Nearest:
        """Each product's `PHOTOS_PER_PRODUCT` nearest photos, by one query's cosines."""
        return [
            start + np.argsort(-cosines[start:end])[:PHOTOS_PER_PRODUCT]
            for start, end in self.spans
        ]

    def colour_similarities(self, queries: Floats) -> Floats:
        """Colour similarity of the best photo, mean over the queries; shape (products,)."""
        similarities = self.index.colours(queries) @ self.index.colours(self.vectors).T
        of_each = [similarities[:, start:end].max(1).mean() for start, end in self.spans]
        return np.array(of_each, np.float32)

    def collaborative_scores(self, queries: Floats, nearest: Sequence[Nearest]) -> Floats:
        """Collaborative score, mean over the queries; shape (products,)."""
        scores = []
        for query, near in zip(queries, nearest, strict=True):
            products = np.repeat(np.arange(len(near)), [len(rows) for rows in near])
            photos = self.vectors[np.concatenate(near)]
            scores.append(
                collaborative_scores(query, photos, products, len(near), self.index.scale)
            )
        mean: Floats = np.mean(scores, axis=0)
        return mean

    def patch_similarities(self, matcher: PatchMatcher, nearest: Sequence[Nearest]) -> Floats:
        """Patch similarity of the best photo, mean over the queries; shape (products,)."""
        photos = self.index.photo
        names = [[photos(self.rows[i]) for i in np.concatenate(near)] for near in nearest]
        firsts = np.cumsum([0, *(len(near) for near in nearest[0][:-1])])
        of_photos = matcher.scores(self.index.space, names)
        similarities: Floats = np.maximum.reduceat(of_photos, firsts, axis=1).mean(0)
        return similarities


def _interpolate(scores: Floats, term: Floats, weight: float) -> Floats:
    """Interpolate scores with another term; products without one get the term's minimum."""
    every = np.full(len(scores), term.min(), np.float32)
    every[: len(term)] = term
    return ((scores + weight * every) / (1 + weight)).astype(np.float32, copy=False)


def _scale(scores: Floats, term: Floats) -> float:
    """Ratio of the standard deviations of scores and term; 0 where the term is constant."""
    return float(scores.std() / term.std()) if term.std() > EPSILON else 0.0
