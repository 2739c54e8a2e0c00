"""Gallery photos → products: scores, and their order. What they are worth: `confidence`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.search.index import GalleryIndex
from satchel.search.matching import Matcher

NEIGHBOURS: Final = 200
"""Gallery photos first looked at for each query photo; doubled until enough products show up."""

SHARPNESS: Final = 10.0
"""How much more a product's nearer photos count than its farther ones."""

POOL: Final = 50
"""Products among which confidence is shared out."""

MATCHED: Final = 20
"""Products that are matched part by part."""

PICTURES: Final = 5
"""Pictures of a product that its parts are sought in, at most."""


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
    queries: npt.NDArray[np.float32],
    *,
    top: int,
    matcher: Matcher | None = None,
    matched: int = MATCHED,
) -> list[RankedProduct]:
    """Rank the products of the gallery for one item.

    A product's score for one photo is the mean of the cosines to its gallery photos, each with
    the weight exp(`SHARPNESS` × cosine): the nearer, the more it counts. Cosines are taken in
    the index's space, where colours count too. For several photos of the item it is the mean over
    them. Then those that come first are matched part by part: what the photo finds of its parts in
    the best of each one's `PICTURES` nearest pictures counts `patch_weight` beside the score,
    divided by the root of how many pictures these products have on average.
    Chosen by measurement: docs/decisions/0005-ranking.md, 0012-ranking.md and
    0017-local-matching.md.

    Args:
        index: of at least one photo.
        queries: shape (q, d + c), float32, the item's photos; see `Embedded.described`.
        top: how many products to return, at most.
        matcher: of the item's photos, in the order of `queries`; without one, parts count nothing.
        matched: how many products are matched; the others count as the worst of these.

    Returns:
        At most `top` products, best first; equal scores in the order of their ids.
    """
    queries = index.prepared(queries)
    candidates = _candidates(index, queries, max(top, POOL))
    rows = index.rows_of(candidates)
    vectors = index.gallery.vectors[rows]
    cosines = queries @ vectors.T  # (q, rows of the candidates)
    starts = np.flatnonzero(np.r_[True, np.diff(index.gallery.products[rows]) > 0])
    weights = np.exp(SHARPNESS * cosines)
    scores = np.add.reduceat(weights * cosines, starts, axis=1)
    scores = (scores / np.add.reduceat(weights, starts, axis=1)).mean(0)
    first = np.argsort(-scores, kind="stable")[: max(top, POOL)]
    ends = np.r_[starts[1:], len(rows)]
    spans = [(int(starts[at]), int(ends[at])) for at in first]
    scores = scores[first]
    seen = _Seen(index, rows, cosines, spans[:matched])
    evidence = np.full((len(first), 2), np.nan, np.float32)
    colours = index.colours(queries) @ index.colours(vectors).T
    evidence[:matched, 0] = [colours[:, start:end].max(1).mean() for start, end in seen.spans]
    if matcher is not None and index.space and index.rules.patch_weight:
        evidence[:matched, 1] = seen.matched(matcher)
        scores = seen.weighed(scores, evidence[:matched, 1])
    ranked = []
    for place in np.argsort(-scores, kind="stable")[:top]:
        start, end = spans[place]
        best = rows[start + cosines[:, start:end].max(0).argmax()]
        score = float(np.clip(scores[place], -1, 1))
        known = [None if np.isnan(one) else float(one) for one in evidence[place]]
        product = int(candidates[first[place]])
        ranked.append(RankedProduct(product, score, index.photo(best), *known))
    return ranked


@dataclass(frozen=True, slots=True)
class _Seen:
    """The products that are matched, and what the item's photos have in common with them.

    Attributes:
        rows: of the index, by column of `cosines`, shape (q, columns).
        spans: first and last column of each product, the last left out.
    """

    index: GalleryIndex
    rows: npt.NDArray[np.int64]
    cosines: npt.NDArray[np.float32]
    spans: Sequence[tuple[int, int]]

    def matched(self, matcher: Matcher) -> npt.NDArray[np.float32]:
        """How much of the item's parts products' nearest pictures have, the best one of each.

        Returns:
            shape (products,), float32: mean over the item's photos.
        """
        nearest = [
            [start + np.argsort(-seen[start:end])[:PICTURES] for start, end in self.spans]
            for seen in self.cosines
        ]
        photos = self.index.photo
        names = [[photos(self.rows[at]) for at in np.concatenate(near)] for near in nearest]
        firsts = np.cumsum([0, *(len(near) for near in nearest[0][:-1])])
        of_pictures = matcher.scores(self.index.space, names)
        found: npt.NDArray[np.float32] = np.maximum.reduceat(of_pictures, firsts, axis=1).mean(0)
        return found

    def weighed(
        self, scores: npt.NDArray[np.float32], matched: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Scores with the parts beside them; products that were not matched count as the worst."""
        shares = np.full(len(scores), matched.min(), np.float32)
        shares[: len(matched)] = matched
        # A mean over many pictures is surer than what one of them shows.
        pictures = np.mean([end - start for start, end in self.spans])
        weight = np.float32(self.index.rules.patch_weight / np.sqrt(pictures))
        return ((scores + weight * shares) / (1 + weight)).astype(np.float32, copy=False)


def _candidates(
    index: GalleryIndex, queries: npt.NDArray[np.float32], wanted: int
) -> npt.NDArray[np.int64]:
    """Return the ids, ascending, of at least `wanted` products near any query, if there are."""
    k = NEIGHBOURS
    while True:
        _, rows = index.search(queries, k)
        found = np.unique(index.gallery.products[rows])
        if len(found) >= wanted or k >= len(index):
            return found
        k *= 2
