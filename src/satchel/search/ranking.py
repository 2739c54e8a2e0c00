"""Gallery photos → products: scores, and their order. What they are worth: `confidence`."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class RankedProduct:
    """A product and its score.

    Attributes:
        product: database id.
        score: cosine in [-1, 1].
        photo: SHA-256 of its gallery photo that is nearest to the query.
    """

    product: int
    score: float
    photo: str


def rank_products(
    index: GalleryIndex,
    queries: npt.NDArray[np.float32],
    *,
    top: int,
    matcher: Matcher | None = None,
) -> list[RankedProduct]:
    """Rank the products of the gallery for one item.

    A product's score for one photo is the mean of the cosines to its gallery photos, each with
    the weight exp(`SHARPNESS` × cosine): the nearer, the more it counts. Cosines are taken in
    the index's space, where colours count too. For several photos of the item it is the mean over
    them. Then those that come first are matched part by part: what the photo finds of its parts in
    each one's nearest picture counts `patch_weight` beside the score. Chosen by measurement:
    docs/decisions/0005-ranking.md, 0012-ranking.md and 0017-local-matching.md.

    Args:
        index: of at least one photo.
        queries: shape (q, d + c), float32, the item's photos; see `Embedded.described`.
        top: how many products to return, at most.
        matcher: of the item's photos, in the order of `queries`; without one, parts count nothing.

    Returns:
        At most `top` products, best first; equal scores in the order of their ids.
    """
    queries = index.prepared(queries)
    candidates = _candidates(index, queries, max(top, POOL))
    rows = index.rows_of(candidates)
    cosines = queries @ index.gallery.vectors[rows].T  # (q, rows of the candidates)
    starts = np.flatnonzero(np.r_[True, np.diff(index.gallery.products[rows]) > 0])
    weights = np.exp(SHARPNESS * cosines)
    scores = np.add.reduceat(weights * cosines, starts, axis=1)
    scores = (scores / np.add.reduceat(weights, starts, axis=1)).mean(0)
    first = np.argsort(-scores, kind="stable")[: max(top, POOL)]
    scores = scores[first]
    nearest = _nearest(cosines, starts, first)
    if matcher is not None and index.space and index.rules.patch_weight:
        pictures = [[index.photo(rows[column]) for column in seen] for seen in nearest]
        matched = matcher.scores(index.space, pictures).mean(0)
        scores = (scores + index.rules.patch_weight * matched) / (1 + index.rules.patch_weight)
    ranked = []
    for place in np.argsort(-scores, kind="stable")[:top]:
        of_each = nearest[:, place]
        best = of_each[cosines[np.arange(len(queries)), of_each].argmax()]
        score = float(np.clip(scores[place], -1, 1))
        ranked.append(RankedProduct(int(candidates[first[place]]), score, index.photo(rows[best])))
    return ranked


def _nearest(
    cosines: npt.NDArray[np.float32],
    starts: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Column of each wanted product's photo that is nearest to each query; shape (q, wanted).

    Args:
        starts: first column of each product.
    """
    ends = np.r_[starts[1:], cosines.shape[1]]
    of_each = [cosines[:, starts[at] : ends[at]].argmax(1) + starts[at] for at in wanted]
    return np.stack(of_each, axis=1)


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
