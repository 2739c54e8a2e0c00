"""Metrics of confidences: calibration error, detection of absent items, precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from satchel.arrays import Bools, Doubles
from satchel.confidence.model import named_counts
from satchel.confidence.outcomes import Outcomes
from satchel.encode.card import Confidence
from satchel.intervals import interval

SHARES: Final = ("right", "right_when_identified", "right_when_named", "absent_caught")
"""Shares of right answers, which have intervals."""


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Queries of similar confidence, one point of a reliability diagram.

    Attributes:
        confidence: their mean, in [0, 1].
        accuracy: share of them whose first candidate is right, in [0, 1].
        queries: how many.
    """

    confidence: float
    accuracy: float
    queries: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of confidences on items whose right product is known; shares in [0, 1].

    Attributes:
        queries: items, those taken out of the catalogue not counted.
        right: share whose first candidate is right, of those in the catalogue.
        calibration_error: expected calibration error of the first candidate's confidence, absent
            items included.
        auroc: of "in the catalogue".
        false_positive_rate: share of absent items that pass where 95 % of the others do.
        identified: share of all items with the verdict "identified".
        right_when_identified: precision of that verdict; None where there are none.
        named: share for which one to `MOST_NAMED` candidates are named, "identified" included.
        right_when_named: share of these whose code is among the named ones; None without any.
        absent_caught: share of absent items with the verdict "not in the catalogue".
        bins: for a reliability diagram.
        intervals: of those of `SHARES` that are not None, the ends of the 95 % interval, over
            products.
    """

    queries: int
    right: float
    calibration_error: float
    auroc: float
    false_positive_rate: float
    identified: float
    right_when_identified: float | None
    named: float
    right_when_named: float | None
    absent_caught: float
    bins: tuple[ConfidenceBin, ...]
    intervals: Mapping[str, tuple[float, float]]

    def stored(self) -> dict[str, float | None]:
        """The figures as a calibration keeps them; ends of intervals as `_low` and `_high`."""
        left_out = ("bins", "intervals")
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        ends = {
            f"{name}_{end}": value
            for name, both in self.intervals.items()
            for end, value in zip(("low", "high"), both, strict=True)
        }
        return {name: value for name, value in values.items() if name not in left_out} | ends


def measure(
    confidence: Confidence, outcomes: Outcomes, in_catalogue: Doubles, conditional: Doubles
) -> Measured:
    """Compare predictions with outcomes.

    Args:
        confidence: whose thresholds apply.
        in_catalogue: shape (n,), probability of being in the catalogue.
        conditional: shape (n, k), probabilities of the products, given that.
    """
    known, weight = outcomes.known, outcomes.weight
    confidences, right = in_catalogue[:, None] * conditional, outcomes.place == 0
    identified = confidences[:, 0] >= confidence.identified_at
    count = named_counts(confidences)
    named = count > 0
    held = (outcomes.place >= 0) & (outcomes.place < count)
    absent = (in_catalogue < confidence.absent_at) & ~named
    bins, error = calibration_error(confidences[:, 0], right, weight)

    def share(of: Bools, among: Bools) -> float:
        return float(weight[of & among].sum() / weight[among].sum()) if among.any() else 0.0

    intervals = {}
    for name, of, among in zip(
        SHARES,
        (right, right, held, absent),
        (known, identified, named, ~known),
        strict=True,
    ):
        if among.any():
            found = interval(of[among], outcomes.group[among], weights=weight[among])
            intervals[name] = (found.low, found.high)
    return Measured(
        int(known.sum()),
        share(right, known),
        error,
        area_under_roc(in_catalogue, known),
        false_positive_rate(in_catalogue, known),
        share(identified, np.ones_like(known)),
        share(right, identified) if identified.any() else None,
        share(named, np.ones_like(known)),
        share(held, named) if named.any() else None,
        share(absent, ~known),
        bins,
        intervals,
    )


def calibration_error(
    confidence: Doubles, right: Bools, weight: Doubles | None = None, *, bins: int = 10
) -> tuple[tuple[ConfidenceBin, ...], float]:
    """Expected calibration error (ECE) in bins of equally many items, and the bins.

    Bins of equal width leave most items in one bin where confidences are similar; bins of equal
    mass are estimated equally well (Nguyen and O'Connor, "Posterior calibration and exploratory
    analysis", EMNLP 2015).

    Args:
        confidence: shape (n,), in [0, 1], n ≥ 1.
        right: shape (n,).
        weight: shape (n,), default 1 each.

    Returns:
        The bins, ascending, and the weighted mean of |confidence − accuracy| over the bins.
    """
    weights = np.ones(len(right)) if weight is None else weight
    order = np.argsort(confidence, kind="stable")
    measured, error = [], 0.0
    for part in np.array_split(order, min(bins, len(order))):
        share = weights[part] / weights[part].sum()
        mean, accuracy = float(share @ confidence[part]), float(share @ right[part])
        measured.append(ConfidenceBin(mean, accuracy, len(part)))
        error += abs(mean - accuracy) * float(weights[part].sum() / weights.sum())
    return tuple(measured), error


def area_under_roc(scores: Doubles, positive: Bools) -> float:
    """Probability that a positive scores above a negative, ties by half (Mann-Whitney's U).

    Returns:
        in [0, 1]; 0.5 where one of the two is missing.
    """
    count = int(positive.sum())
    if count in (0, len(positive)):
        return 0.5
    _, number, times = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    rank = (last - (times - 1) / 2)[number]
    below = rank[positive].sum() - count * (count + 1) / 2
    return float(below / (count * (len(positive) - count)))


def false_positive_rate(scores: Doubles, positive: Bools) -> float:
    """Share of negatives at or above the score that 95 % of the positives reach.

    Returns:
        in [0, 1]; 1 where positives or negatives are missing.
    """
    if positive.all() or not positive.any():
        return 1.0
    ordered = np.sort(scores[positive])
    least = ordered[int(np.floor((1 - 0.95) * len(ordered) + 1e-9))]
    return float((scores[~positive] >= least).mean())
