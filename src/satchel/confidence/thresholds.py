"""The threshold of the verdict "identified", with a guarantee by a Wilson bound."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from satchel.arrays import Bools, Doubles, Ints

LEVEL: Final = 0.95
"""One-sided level of the lower bound that must reach the wanted precision."""

FEWEST_IDENTIFIED: Final = 20
"""Least number of answers that the threshold is based on."""

SLACK: Final = 0.1
"""Answers may be so much surer than they say, but no more: they would seem to contradict it."""

STEP: Final = 0.005


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
        at least `precision` - `SLACK`; 1 where no confidence is good enough, or fewer than
        `FEWEST_IDENTIFIED` answers are.
    """
    weights = np.ones(len(right)) if weight is None else weight
    groups = np.arange(len(right)) if group is None else group
    for least in np.arange(precision - SLACK, 1, STEP).round(4).tolist():
        said = confidence >= least
        if not said.any():
            break
        own, errors = weights[said], right[said] - confidence[said]
        size = _effective_size(own, groups[said], errors)
        share = float(own @ right[said] / own.sum())
        if size >= FEWEST_IDENTIFIED and wilson_lower_bound(share, size) >= precision:
            return float(least)
    return 1.0


def _effective_size(weight: Doubles, group: Ints, errors: Doubles) -> float:
    """How many independent items of equal weight tell as much; see `threshold_of_precision`."""
    correlation = correlation_in_groups(errors, weight, group)
    _, number = np.unique(group, return_inverse=True)
    together = (np.bincount(number, weight) ** 2).sum()
    spread = (1 - correlation) * (weight**2).sum() + correlation * together
    return float(weight.sum() ** 2 / spread)


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
