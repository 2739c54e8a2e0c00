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
from typing import Final

import numpy as np

from satchel.arrays import Bools, Doubles, Ints
from satchel.confidence.features import Rankings, choice_features, presence_features
from satchel.encode.card import Confidence
from satchel.search.ranking import POOL, RankedProduct

PROBABLE: Final = 0.6
"""Candidates are named from this sum of their confidences on."""

MOST_NAMED: Final = 5
"""Candidates that an answer names, at most: nobody compares more."""

OWN_PICTURE: Final = 0.99
"""Probability that a photo shows the product whose own catalogue picture it is, as far as pixels
tell: a lower bound of what was measured (decision 11)."""

ROUNDING: Final = 1e-9
"""Probability below which nothing is left."""


def choice_probabilities(features: Doubles, possible: Bools, weights: Doubles) -> Doubles:
    """Return the softmax of features · weights over the choices that there are.

    Returns:
        same shape as `possible`, (n, choices); each row sums to 1.
    """
    utilities = np.where(possible, features @ weights, -np.inf)
    powers = np.exp(utilities - utilities.max(1, keepdims=True))
    result: Doubles = powers / powers.sum(1, keepdims=True)
    return result


def presence(confidence: Confidence, ranked: Rankings, *, absent: float | None = None) -> Doubles:
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
    result: Doubles = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return result


def conditional_probabilities(confidence: Confidence, ranked: Rankings) -> Doubles:
    """Return the probability that each ranked product is right, the item being in the catalogue.

    Returns:
        shape (n, k), each row descending, with the sum 1 at most.
    """
    weights = np.array([*confidence.sharpness, *confidence.further])
    return choice_probabilities(*choice_features(ranked), weights)[:, :-1]


def named_counts(confidences: Doubles) -> Ints:
    """Return how many of the first candidates an answer names: the fewest that are probable.

    Args:
        confidences: shape (n, k), of candidates, descending.

    Returns:
        shape (n,), int64, in [1, `MOST_NAMED`]; 0 where so many candidates are not enough.
    """
    reached = np.cumsum(confidences[:, :MOST_NAMED], axis=1) >= PROBABLE - 1e-12
    counts: Ints = np.where(reached.any(1), reached.argmax(1) + 1, 0).astype(np.int64)
    return counts


@dataclass(frozen=True, slots=True)
class Posterior:
    """The probabilities of one ranking.

    Attributes:
        confidences: of each ranked product, descending, in [0, 1]; they sum to `in_catalogue` at
            most.
        in_catalogue: as in `Identification`.
    """

    confidences: tuple[float, ...]
    in_catalogue: float


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
    pool = [in_catalogue * float(p) for _, p in zip(ranked, conditional[0], strict=False)]
    return Posterior((*pool, *(0.0 for _ in ranked[POOL:])), in_catalogue)


def given_own_pictures(posterior: Posterior, own: Sequence[bool]) -> Posterior:
    """Revise probabilities, given that the photos are pictures of the catalogue.

    The products whose pictures they are share `OWN_PICTURE` equally, since nothing tells them
    apart; what remains is shared by everything else in the proportions of before.

    Args:
        own: for each ranked product, whether the photos are its pictures; of one at least.

    Returns:
        The same places; confidences need not be descending any more.
    """
    before = sum(one for one, is_own in zip(posterior.confidences, own, strict=True) if is_own)
    factor = (1 - OWN_PICTURE) / (1 - before) if 1 - before > ROUNDING else 0.0
    each = OWN_PICTURE / sum(own)
    confidences = tuple(
        each if is_own else one * factor
        for one, is_own in zip(posterior.confidences, own, strict=True)
    )
    others = max(0.0, posterior.in_catalogue - before)
    return Posterior(confidences, OWN_PICTURE + others * factor)


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))
