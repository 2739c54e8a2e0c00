"""Scores → how likely each candidate is right, and whether the item is in the catalogue at all.

Two small models, one after the other. With gap_k = score_1 − score_k, photos the number of gallery
photos of the first product, and ahead_c and ahead_p how many of the first `RERANKED` products have
likelier colours, and likelier parts, than the first one:

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
looking surer than it is. A candidate's confidence is the product of both models' answers, so that
confidences sum to less than 1: what is left is "something else".

The weights are fitted by `satchel.confidence.fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from satchel.encode.card import Confidence
from satchel.search.index import GalleryIndex
from satchel.search.ranking import POOL, RERANKED, RankedProduct

Floats = npt.NDArray[np.float64]

GAP_UNIT: Final = 0.03
"""Cosine that counts as one unit of a gap between scores: a usual gap of first to second."""

SMALL_GAP: Final = 0.01
"""Gap from which on its logarithm, not itself, is what counts."""

USUAL_SCORE: Final = 0.6
SCORE_SPREAD: Final = 0.1
"""Middle and spread of first scores; they only make weights comparable in size."""

MANY_PHOTOS: Final = 50
"""Photos of a product from which on one more tells nothing."""

NO_RIVAL: Final = 0.5
"""Lead of a first product that has no second."""

FIFTH: Final = 4
"""Place from which on rivals are no near twins any more, mostly."""

FURTHEST: Final = -1e9
"""Score of a place that is empty, where fewer products were ranked than others have."""


@dataclass(frozen=True, slots=True)
class Rankings:
    """What the ranking said of n items.

    Attributes:
        scores: shape (n, k), float64, best first; `FURTHEST` where there is no such product.
        photos: shape (n,), gallery photos of the first product, ≥ 1.
        evidence: shape (n, k, 2), float64: likeness of the products' colours, and of their parts;
            NaN where it is not known.
    """

    scores: Floats
    photos: npt.NDArray[np.int64]
    evidence: Floats

    def rows(self, chosen: npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]) -> Rankings:
        """Those of some of the items."""
        return Rankings(self.scores[chosen], self.photos[chosen], self.evidence[chosen])

    @classmethod
    def of_many(cls, index: GalleryIndex, rankings: Sequence[Sequence[RankedProduct]]) -> Rankings:
        """The first `POOL` products of rankings by this index, of one product each at least."""
        scores = np.full((len(rankings), POOL), FURTHEST)
        evidence = np.full((*scores.shape, 2), np.nan)
        for row, ranked in enumerate(rankings):
            pool = ranked[:POOL]
            scores[row, : len(pool)] = [one.score for one in pool]
            evidence[row, : len(pool)] = [
                (one.colour_similarity, one.patch_similarity) for one in pool
            ]
        first = [np.array([ranked[0].product]) for ranked in rankings]
        return cls(scores, np.array([len(index.rows_of(one)) for one in first]), evidence)


def presence_features(ranked: Rankings) -> Floats:
    """Return x of each item: what speaks for its being in the catalogue; shape (n, 7)."""
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


def choice_features(ranked: Rankings) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return what each choice has for and against it, and which choices there are.

    Returns:
        features, shape (n, k + 1, 5): −g of the k products, then "further down", whose alone the
        last two columns are, for u; and
        possible, shape (n, k + 1): "further down" is none where all products are ranked.
    """
    there = ranked.scores > FURTHEST
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


def choice_shares(features: Floats, possible: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the softmax of features · weights over the choices that there are.

    Returns:
        same shape as `possible`, (n, choices); each row sums to 1.
    """
    utilities = np.where(possible, features @ weights, -np.inf)
    powers = np.exp(utilities - utilities.max(1, keepdims=True))
    result: Floats = powers / powers.sum(1, keepdims=True)
    return result


def presence(confidence: Confidence, ranked: Rankings, *, absent: float | None = None) -> Floats:
    """Return how likely each item is in the catalogue; shape (n,), in (0, 1).

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


def shares(confidence: Confidence, ranked: Rankings) -> Floats:
    """Return how likely each ranked product is right, the item being in the catalogue.

    Returns:
        shape (n, k), each row descending, with the sum 1 at most.
    """
    weights = np.array([*confidence.sharpness, *confidence.further])
    return choice_shares(*choice_features(ranked), weights)[:, :-1]


def likely_counts(confidence: Confidence, conditional: Floats) -> npt.NDArray[np.int64]:
    """Return how many of the first products hold the right one with the measured coverage.

    The least number whose shares sum to `confidence.likely_at` or more: adaptive prediction sets
    (Romano, Sesia and Candès, "Classification with valid and adaptive coverage", NeurIPS 2020)
    without their randomisation, which makes sets a little larger than needed.

    Args:
        conditional: shape (n, k), from `shares`.

    Returns:
        shape (n,), int64, in [1, k]; k + 1 where the ranked products are not enough.
    """
    reached = np.cumsum(conditional, axis=1) >= confidence.likely_at - 1e-12
    counts: npt.NDArray[np.int64] = np.where(
        reached.any(1), reached.argmax(1) + 1, conditional.shape[1] + 1
    ).astype(np.int64)
    return counts


@dataclass(frozen=True, slots=True)
class Sureness:
    """How sure a ranking is.

    Attributes:
        confidences: of each ranked product, descending, in [0, 1]; they sum to `in_catalogue` at
            most.
        in_catalogue, likely: as in `Identification`.
    """

    confidences: tuple[float, ...]
    in_catalogue: float
    likely: int | None


def weigh(
    confidence: Confidence,
    index: GalleryIndex,
    ranked: Sequence[RankedProduct],
    *,
    absent: float | None = None,
) -> Sureness:
    """Say how sure a ranking is, by what was measured of rankings like it.

    Confidence is shared out among the `POOL` best products; those further down get 0.

    Args:
        ranked: of at least one product, best first.
        absent: see `presence`.
    """
    one = Rankings.of_many(index, [ranked])
    found = float(presence(confidence, one, absent=absent)[0])
    conditional = shares(confidence, one)
    likely = int(likely_counts(confidence, conditional)[0])
    sure = [found * float(share) for _, share in zip(ranked, conditional[0], strict=False)]
    known = likely if likely <= len(sure) else None
    return Sureness((*sure, *(0.0 for _ in ranked[POOL:])), found, known)


def _gaps(ranked: Rankings) -> Floats:
    """How far each product is behind the first, ≥ 0; shape (n, k)."""
    gaps: Floats = ranked.scores[:, :1] - ranked.scores
    return gaps


def _lead(ranked: Rankings, place: int) -> Floats:
    """How far the product at a place, or the last one, is behind the first; shape (n,)."""
    there = (ranked.scores > FURTHEST).sum(1)
    at = np.minimum(place, there - 1)
    lead = np.take_along_axis(_gaps(ranked), at[:, None], 1)[:, 0]
    result: Floats = np.where(at > 0, np.minimum(lead, NO_RIVAL), NO_RIVAL)
    return result


def _ahead(ranked: Rankings) -> npt.NDArray[np.int64]:
    """How many products are ahead of the first by colours, and by parts; shape (n, 2)."""
    seen, there = ranked.evidence[:, :RERANKED], ranked.scores[:, :RERANKED] > FURTHEST
    ahead = (seen > seen[:, :1]) & there[:, :, None]  # NaN is ahead of nothing
    result: npt.NDArray[np.int64] = ahead.sum(1)
    return result


def _log_photos(ranked: Rankings) -> Floats:
    """Logarithm of the number of photos, which stops to matter from `MANY_PHOTOS` on."""
    result: Floats = np.log(np.minimum(ranked.photos, MANY_PHOTOS))
    return result


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))
