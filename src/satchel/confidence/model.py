"""Scores of a ranking → calibrated probabilities: of each candidate, and of being in the catalogue.

Two small models, one after the other. With gap_k = score_1 − score_k, photos the number of gallery
photos of the first product, and ahead_c and ahead_p how many of the first `RERANKED` products have
more similar colours, and more similar local features, than the first one:

    P(in the catalogue)     = 1 / (1 + exp(−presence · x))
    P(k is right | in it)   ∝ exp(−sharpness · g_k)   for the ranked products
    P(further down | in it) ∝ exp(further · u)

    x = (1, score_1, ln(1 + gap_2 / 0.01), ln photos,
         ln(1 + gap_5 / 0.01), ln(1 + ahead_c), ln(1 + ahead_p))
    g_k = (gap_k, gap_k × ln photos, ln(1 + gap_k / 0.01))
    u = (1, ln photos)

The second is McFadden's conditional logit ("Conditional logit analysis of qualitative choice
behavior", 1974) with "further down" as one more choice. With the first weight alone it would be
temperature scaling (Guo et al., ICML 2017); the logarithm keeps a candidate that is far ahead from
becoming overconfident. A candidate's confidence is the product of both probabilities, so that
confidences sum to less than 1; the rest is "something else".

The weights are fitted by `satchel.confidence.fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from satchel.encode.card import Confidence
from satchel.search.ranking import POOL, RERANKED, RankedProduct

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

GAP_UNIT: Final = 0.03
"""Cosine that counts as one unit of a gap between scores: a usual gap of first to second."""

SMALL_GAP: Final = 0.01
"""Gap above which its logarithm is what counts."""

USUAL_SCORE: Final = 0.6
SCORE_SPREAD: Final = 0.1
"""Middle and spread of first scores; they only make weights comparable in size."""

MANY_PHOTOS: Final = 50
"""Photos of a product above which one more makes no difference."""

LARGEST_LEAD: Final = 0.5
"""Lead of a first product that has no second, and the largest that counts."""

FIFTH: Final = 4
"""Place from which on products are no near-duplicates of the first any more, mostly."""

NO_SCORE: Final = -1e9
"""Score of a place that is empty, where fewer products were ranked than for other items."""


@dataclass(frozen=True, slots=True)
class Rankings:
    """Rankings of n items as arrays.

    Attributes:
        scores: shape (n, k), float64, best first; `NO_SCORE` where there is no such product.
        photos: shape (n,), gallery photos of the first product, ≥ 1.
        evidence: shape (n, k, 2), float64: similarity of the products' colours, and of their local
            features; NaN where it is not known.
    """

    scores: Floats
    photos: Ints
    evidence: Floats

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


def presence_features(ranked: Rankings) -> Floats:
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


def choice_features(ranked: Rankings) -> tuple[Floats, Bools]:
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


def choice_probabilities(features: Floats, possible: Bools, weights: Floats) -> Floats:
    """Return the softmax of features · weights over the choices that there are.

    Returns:
        same shape as `possible`, (n, choices); each row sums to 1.
    """
    utilities = np.where(possible, features @ weights, -np.inf)
    powers = np.exp(utilities - utilities.max(1, keepdims=True))
    result: Floats = powers / powers.sum(1, keepdims=True)
    return result


def presence(confidence: Confidence, ranked: Rankings, *, absent: float | None = None) -> Floats:
    """Return the probability that each item is in the catalogue; shape (n,), in (0, 1).

    Args:
        absent: share of items that are not in the catalogue where this is used; default, the share
            that the weights were fitted for. Odds are shifted to it (Saerens, Latinne and
            Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities",
            2002, equation 4).
    """
    logits = presence_features(ranked) @ np.array(confidence.presence)
    if absent is not None:
        logits += _logit(confidence.absent_share) - _logit(absent)
    result: Floats = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return result


def conditional_probabilities(confidence: Confidence, ranked: Rankings) -> Floats:
    """Return the probability that each ranked product is right, the item being in the catalogue.

    Returns:
        shape (n, k), each row descending, with the sum 1 at most.
    """
    weights = np.array([*confidence.sharpness, *confidence.further])
    return choice_probabilities(*choice_features(ranked), weights)[:, :-1]


def likely_counts(confidence: Confidence, conditional: Floats) -> Ints:
    """Return the size of each item's prediction set: the first products that reach the coverage.

    The least number whose probabilities sum to `confidence.likely_at` or more: adaptive prediction
    sets (Romano, Sesia and Candès, "Classification with valid and adaptive coverage", NeurIPS 2020)
    without their randomisation, which makes sets a little larger than needed.

    Args:
        conditional: shape (n, k), from `conditional_probabilities`.

    Returns:
        shape (n,), int64, in [1, k]; k + 1 where the ranked products are not enough.
    """
    reached = np.cumsum(conditional, axis=1) >= confidence.likely_at - 1e-12
    counts: Ints = np.where(reached.any(1), reached.argmax(1) + 1, conditional.shape[1] + 1).astype(
        np.int64
    )
    return counts


@dataclass(frozen=True, slots=True)
class Posterior:
    """The probabilities of one ranking.

    Attributes:
        confidences: of each ranked product, descending, in [0, 1]; they sum to `in_catalogue` at
            most.
        in_catalogue, likely: as in `Identification`.
    """

    confidences: tuple[float, ...]
    in_catalogue: float
    likely: int | None


def score_confidence(
    confidence: Confidence, ranked: Sequence[RankedProduct], *, absent: float | None = None
) -> Posterior:
    """Return the calibrated probabilities of one item's ranking.

    The `POOL` best products have a confidence; that of those further down is 0.

    Args:
        ranked: of at least one product, best first.
        absent: see `presence`.
    """
    one = Rankings.of([ranked])
    in_catalogue = float(presence(confidence, one, absent=absent)[0])
    conditional = conditional_probabilities(confidence, one)
    likely = int(likely_counts(confidence, conditional)[0])
    pool = [in_catalogue * float(p) for _, p in zip(ranked, conditional[0], strict=False)]
    known = likely if likely <= len(pool) else None
    return Posterior((*pool, *(0.0 for _ in ranked[POOL:])), in_catalogue, known)


def _padded(of_products: Floats, width: int, value: float) -> Floats:
    more = [(0, 0), (0, width - of_products.shape[1]), (0, 0)][: of_products.ndim]
    return np.pad(of_products, more, constant_values=value)


def _gaps(ranked: Rankings) -> Floats:
    """How far each product's score is behind the first, ≥ 0; shape (n, k)."""
    gaps: Floats = ranked.scores[:, :1] - ranked.scores
    return gaps


def _lead(ranked: Rankings, place: int) -> Floats:
    """How far the product at a place, or the last one, is behind the first; shape (n,)."""
    there = (ranked.scores > NO_SCORE).sum(1)
    at = np.minimum(place, there - 1)
    lead = np.take_along_axis(_gaps(ranked), at[:, None], 1)[:, 0]
    result: Floats = np.where(at > 0, np.minimum(lead, LARGEST_LEAD), LARGEST_LEAD)
    return result


def _ahead(ranked: Rankings) -> Ints:
    """How many products are ahead of the first by colours, and by local features; shape (n, 2)."""
    found, there = ranked.evidence[:, :RERANKED], ranked.scores[:, :RERANKED] > NO_SCORE
    ahead = (found > found[:, :1]) & there[:, :, None]  # NaN is ahead of nothing
    result: Ints = ahead.sum(1)
    return result


def _log_photos(ranked: Rankings) -> Floats:
    """Logarithm of the number of photos, capped at `MANY_PHOTOS`."""
    result: Floats = np.log(np.minimum(ranked.photos, MANY_PHOTOS))
    return result


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))
