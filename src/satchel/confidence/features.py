"""Rankings as arrays, and the features that confidences are predicted from.

The models that use them, and their formulas: `satchel.confidence.model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from satchel.arrays import Bools, Doubles, Ints
from satchel.search.ranking import POOL, RERANKED, RankedProduct

GAP_UNIT: Final = 0.03
"""Cosine that counts as one unit of a gap between scores: a usual gap of first to second."""

SMALL_GAP: Final = 0.01
"""Gap above which its logarithm is what counts."""

USUAL_SCORE: Final = 0.6
SCORE_SPREAD: Final = 0.1
"""Mean and scale of first scores, to standardise them."""

MANY_PHOTOS: Final = 50
"""Cap on the number of photos of a product."""

LARGEST_LEAD: Final = 0.5
"""Lead of a first product that has no second, and the largest that counts."""

FIFTH: Final = 4
"""Rank from which products are rarely near-duplicates of the first."""

NO_SCORE: Final = -1e9
"""Padding score, where fewer products were ranked than for other items."""


@dataclass(frozen=True, slots=True)
class Rankings:
    """Rankings of n items as arrays.

    Attributes:
        scores: shape (n, k), float64, best first; `NO_SCORE` where there is no such product.
        photos: shape (n,), gallery photos of the first product, ≥ 1.
        evidence: shape (n, k, 2), float64: similarity of the products' colours, and of their local
            features; NaN where it is not known.
    """

    scores: Doubles
    photos: Ints
    evidence: Doubles

    def rows(self, chosen: npt.NDArray[np.integer[Any]] | Bools) -> Rankings:
        """Those of some of the items."""
        return Rankings(self.scores[chosen], self.photos[chosen], self.evidence[chosen])

    @classmethod
    def of(cls, rankings: Sequence[Sequence[RankedProduct]]) -> Rankings:
        """The first `POOL` products of rankings of one product each at least."""
        scores = np.full((len(rankings), POOL), NO_SCORE)
        evidence = np.full((*scores.shape, 2), np.nan)
        for row, ranked in enumerate(rankings):
            pool = ranked[:POOL]
            scores[row, : len(pool)] = [one.score for one in pool]
            evidence[row, : len(pool)] = [
                (one.colour_similarity, one.patch_similarity) for one in pool
            ]
        return cls(scores, np.array([ranked[0].photos for ranked in rankings]), evidence)

    @classmethod
    def joined(cls, parts: Sequence[Rankings]) -> Rankings:
        """Concatenate rankings; those of fewer products are padded."""
        widest = max(part.scores.shape[1] for part in parts)
        return cls(
            np.concatenate([_padded(part.scores, widest, NO_SCORE) for part in parts]),
            np.concatenate([part.photos for part in parts]),
            np.concatenate([_padded(part.evidence, widest, np.nan) for part in parts]),
        )


def presence_features(ranked: Rankings) -> Doubles:
    """Return x of each item, from which its presence is predicted; shape (n, 7)."""
    ahead = _ahead(ranked)
    return np.stack(
        [
            np.ones(len(ahead)),
            (ranked.scores[:, 0] - USUAL_SCORE) / SCORE_SPREAD,
            np.log1p(_lead(ranked, 1) / SMALL_GAP),
            _log_photos(ranked),
            np.log1p(_lead(ranked, FIFTH) / SMALL_GAP),
            *np.log1p(ahead).T,
        ],
        axis=1,
    )


def choice_features(ranked: Rankings) -> tuple[Doubles, Bools]:
    """Return the features of each choice of the conditional logit, and which choices there are.

    Returns:
        features, shape (n, k + 1, 5): −g of the k products, then "further down", which alone uses
        the last two columns, for u; and
        possible, shape (n, k + 1): "further down" is impossible where all products are ranked.
    """
    there = ranked.scores > NO_SCORE
    gaps, logs = np.where(there, _gaps(ranked), 0.0), _log_photos(ranked)
    items, products = gaps.shape
    features = np.zeros((items, products + 1, 5))
    features[:, :products, 0] = -gaps / GAP_UNIT
    features[:, :products, 1] = -gaps / GAP_UNIT * logs[:, None]
    features[:, :products, 2] = -np.log1p(gaps / SMALL_GAP)
    features[:, products, 3] = 1
    features[:, products, 4] = logs
    more = there[:, -1] if products >= POOL else np.zeros(items, np.bool_)
    return features, np.column_stack([there, more])


def _padded(of_products: Doubles, width: int, value: float) -> Doubles:
    more = [(0, 0), (0, width - of_products.shape[1]), (0, 0)][: of_products.ndim]
    return np.pad(of_products, more, constant_values=value)


def _gaps(ranked: Rankings) -> Doubles:
    """How far each product's score is behind the first, ≥ 0; shape (n, k)."""
    gaps: Doubles = ranked.scores[:, :1] - ranked.scores
    return gaps


def _lead(ranked: Rankings, place: int) -> Doubles:
    """How far the product at a place, or the last one, is behind the first; shape (n,)."""
    there = (ranked.scores > NO_SCORE).sum(1)
    at = np.minimum(place, there - 1)
    lead = np.take_along_axis(_gaps(ranked), at[:, None], 1)[:, 0]
    result: Doubles = np.where(at > 0, np.minimum(lead, LARGEST_LEAD), LARGEST_LEAD)
    return result


def _ahead(ranked: Rankings) -> Ints:
    """How many products are ahead of the first by colours, and by local features; shape (n, 2)."""
    evidence, there = ranked.evidence[:, :RERANKED], ranked.scores[:, :RERANKED] > NO_SCORE
    ahead = (evidence > evidence[:, :1]) & there[:, :, None]  # comparisons with NaN are False
    result: Ints = ahead.sum(1)
    return result


def _log_photos(ranked: Rankings) -> Doubles:
    """Logarithm of the number of photos, capped at `MANY_PHOTOS`."""
    result: Doubles = np.log(np.minimum(ranked.photos, MANY_PHOTOS))
    return result
