"""Thresholds with a guarantee: of precision by a Wilson bound, of coverage by split conformal."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from satchel.arrays import Bools, Doubles, Ints

LEVEL: Final = 0.95
"""One-sided level of the lower bound that must reach the wanted precision."""

FEWEST_IDENTIFIED: Final = 20
"""Least number of answers that the threshold of "identified" is based on."""

NEVER_REACHED: Final = 2.0
"""Above every sum of probabilities."""


def wilson_lower_bound(share: float, count: float) -> float:
    """Lower end of the one-sided interval of a share that was observed in `count` trials.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927;
    closer to its level than Wald's for shares near 1 (Brown, Cai and DasGupta, 2001).

    Returns:
        in [0, share].
    """
    z = NormalDist().inv_cdf(LEVEL)
    middle = share + z * z / (2 * count)
    width = z * math.sqrt((share * (1 - share) + z * z / (4 * count)) / count)
    return max(0.0, (middle - width) / (1 + z * z / count))


def threshold_of_precision(
    confidence: Doubles,
    right: Bools,
    precision: float,
    weight: Doubles | None = None,
    group: Ints | None = None,
) -> float:
    """Return the least confidence at or above which answers reach a precision.

    The lower bound of the share of right answers, not the share itself, must be `precision` or
    more. Weighted answers have the effective size (Σw)² / Σw²; where photos of one product are
    right or wrong together, more often than their confidences say, it is smaller: (Σw)² /
    ((1 - ρ) Σw² + ρ ΣW²), W being a group's sum and ρ its correlation (Kish, "Survey Sampling",
    1965, on design effects).

    Args:
        confidence: shape (n,), in [0, 1].
        right: shape (n,).
        weight: shape (n,), default 1 each.
        group: shape (n,), default each its own.

    Returns:
        in [0, 1]; 1 where no confidence is good enough, or fewer than `FEWEST_IDENTIFIED` answers
        are.
    """
    weights = np.ones(len(right)) if weight is None else weight
    order = np.argsort(-confidence, kind="stable")
    total = np.cumsum(weights[order])
    spread = np.cumsum(weights[order] ** 2)
    if group is not None:
        correlation = correlation_in_groups(right - confidence, weights, group)
        together = np.cumsum(_grown_squares(weights[order], group[order]))
        spread = (1 - correlation) * spread + correlation * together
    effective = total**2 / spread
    share = np.cumsum(weights[order] * right[order]) / total
    ends = np.flatnonzero(np.r_[np.diff(confidence[order]) != 0, True])  # ties stay together
    good = [
        confidence[order[end]]
        for end in ends
        if effective[end] >= FEWEST_IDENTIFIED
        and wilson_lower_bound(float(share[end]), float(effective[end])) >= precision
    ]
    return min(1.0, float(np.floor(min(good) * 1e4) / 1e4)) if good else 1.0


def correlation_in_groups(errors: Doubles, weight: Doubles, group: Ints) -> float:
    """Intraclass correlation of errors: mean product of two of a group, by mean square; in [0, 1].

    Args:
        errors: shape (n,), of mean 0 or nearly.
        weight, group: shape (n,).
    """
    _, number = np.unique(group, return_inverse=True)

    def pairs(values: Doubles) -> float:
        """Sum of the products of two different members of a group."""
        sums = np.bincount(number, values)
        return float((sums**2).sum() - (values**2).sum())

    square = float(np.average(errors**2, weights=weight)) if len(errors) else 0.0
    most = pairs(weight) * square
    return float(np.clip(pairs(weight * errors) / most, 0, 1)) if most > 0 else 0.0


def conformal_sum(conditional: Doubles, place: Ints, coverage: float) -> float:
    """Return the sum of probabilities at which the first products reach a coverage.

    Split conformal prediction: of n items, the ⌈(n + 1) × coverage⌉-th smallest of the sums that
    just reach the right product. An item exchangeable with these is covered with that probability
    at least, however wrong the probabilities are (Vovk, Gammerman and Shafer, "Algorithmic learning
    in a random world", 2005; Angelopoulos and Bates, "A gentle introduction to conformal
    prediction", 2023, theorem 1).

    Args:
        conditional: shape (n, k), probabilities of the products, descending.
        place: shape (n,), of the right product; -1 where it is not among them.

    Returns:
        in [0, 1]; 2, which no sum reaches, where the ranked products are not enough or the items
        too few.
    """
    if not len(place):
        return NEVER_REACHED
    sums = np.cumsum(conditional, axis=1)[np.arange(len(place)), np.maximum(place, 0)]
    sums[place < 0] = NEVER_REACHED
    rank = int(np.ceil((len(place) + 1) * coverage - 1e-9))
    return float(np.sort(sums)[rank - 1]) if rank <= len(place) else NEVER_REACHED


def _grown_squares(weight: Doubles, group: Ints) -> Doubles:
    """Growth of the sum of the groups' squared weights with each item, one after the other."""
    by_group = np.argsort(group, kind="stable")
    ordered = weight[by_group]
    sums = np.cumsum(ordered)
    first = np.r_[True, np.diff(group[by_group]) != 0]
    started = np.maximum.accumulate(np.where(first, sums - ordered, 0.0))  # before the group
    before = np.empty(len(weight))
    before[by_group] = sums - ordered - started
    grown: Doubles = weight * (weight + 2 * before)
    return grown
