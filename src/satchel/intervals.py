"""Confidence intervals: a percentile bootstrap over queries or clusters of them.

Where values are few or all equal, the bootstrap's interval is too narrow and is widened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from satchel.arrays import Doubles

LEVEL: Final = 0.95
"""Share of such intervals that hold the true mean."""

ROUNDS: Final = 2_000
DRAWS_AT_ONCE: Final = 4_000_000
ROUNDING: Final = 1e-12
"""Rounding error within which figures count as equal: they are sums."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the interval around it.

    Attributes:
        value: the mean of all values.
        low, high: ends of the interval.
        values: how many.
        clusters: how many of them are independent; equal to `values` where none are tied.
    """

    value: float
    low: float
    high: float
    values: int
    clusters: int


def interval(
    values: npt.NDArray[Any] | Sequence[float],
    clusters: npt.NDArray[Any] | Sequence[object] | None = None,
    *,
    weights: Doubles | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Return the confidence interval of the mean of values in [0, 1].

    The percentile bootstrap, widened to what so few clusters cannot exclude. Efron and Tibshirani,
    "An Introduction to the Bootstrap", 1993, section 13.3. Photos of one item resemble each other
    and have correlated outcomes: with `clusters`, whole clusters are drawn, and the interval is
    as wide as their number warrants (Field and Welsh, "Bootstrapping clustered data", 2007).

    The bootstrap only resamples: twelve hits of twelve give 100 to 100 %. But n
    clusters cannot exclude that a share u of all clusters is of a kind that they hold none of,
    with u = `unseen_share(n)`. Such clusters may score anything in [0, 1]. So the interval reaches
    at least from mean · (1 − u) to mean + (1 − mean) · u. Where all are right or all are wrong,
    that is the interval of Clopper and Pearson; of twelve hits 73.5 to 100 %.

    Args:
        values: shape (n,): a figure of each query (hit or not, average precision).
        clusters: shape (n,): which item or product each query shows; None: each for itself.
        weights: shape (n,), > 0: how often each query counts in the mean; None: once.
        rounds: resamples.
        seed: the same seed and data give the same interval.

    Raises:
        ValueError: no values, a value that is not in [0, 1], or not one cluster for each.
    """
    resampled = _bootstrap(values, clusters, rounds, seed, weights)
    if np.min(values) < -ROUNDING or np.max(values) > 1 + ROUNDING:
        raise ValueError(f"expected values in [0, 1], got {np.min(values)} to {np.max(values)}")
    return _reaching(resampled, unseen_share(resampled.clusters), least=0, most=1)


def difference(
    first: npt.NDArray[Any] | Sequence[float],
    second: npt.NDArray[Any] | Sequence[float],
    clusters: npt.NDArray[Any] | Sequence[object] | None = None,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Return the interval of mean(second) − mean(first), on the same queries.

    Paired: difficulty common to both systems cancels out, so that a difference can be
    significant while the intervals of the two figures overlap. Where every cluster has the
    same difference, the bootstrap has no width, and the interval reaches as far as unsampled
    clusters allow (`interval`): these may differ by anything in [-1, 1].

    Raises:
        ValueError: as in `interval`, or the two are not of the same queries.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape:
        raise ValueError(
            f"expected both systems on the same queries, got {one.shape} and {other.shape} values"
        )
    resampled = _bootstrap(other - one, clusters, rounds, seed)
    if resampled.high - resampled.low > ROUNDING:
        return resampled
    return _reaching(resampled, unseen_share(resampled.clusters), least=-1, most=1)


def unseen_share(clusters: int) -> float:
    """Return the largest share of all clusters that may be of a kind that none of these is of.

    The upper end of the two-sided interval for 0 of n (Clopper and Pearson, "The use of confidence
    or fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934): the u at
    which (1 − u)^n is (1 − `LEVEL`) / 2.
    """
    return float(1 - ((1 - LEVEL) / 2) ** (1 / clusters))


def _reaching(found: Interval, unseen: float, *, least: float, most: float) -> Interval:
    """Widen an interval to what a share of unseen clusters, with figures in a range, allows."""
    low = found.value - unseen * (found.value - least)
    high = found.value + unseen * (most - found.value)
    return replace(found, low=min(found.low, low), high=max(found.high, high))


def _bootstrap(
    values: npt.NDArray[Any] | Sequence[float],
    clusters: npt.NDArray[Any] | Sequence[object] | None,
    rounds: int,
    seed: int,
    weights: Doubles | None = None,
) -> Interval:
    """The percentile bootstrap interval of a mean."""
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"expected at least one value, in one row; got the shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError("expected finite values; leave out queries that have no figure")
    every = np.ones(len(numbers)) if weights is None else weights
    sums, counts = _by_cluster(numbers, every, clusters)
    rng = np.random.default_rng(seed)
    means = np.empty(rounds)
    step = max(1, DRAWS_AT_ONCE // len(sums))
    for start in range(0, rounds, step):
        drawn = rng.integers(0, len(sums), (min(step, rounds - start), len(sums)))
        means[start : start + step] = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    mean = float(np.average(numbers, weights=weights))
    return Interval(mean, float(low), float(high), len(numbers), len(sums))


def _by_cluster(
    values: Doubles, weights: Doubles, clusters: npt.NDArray[Any] | Sequence[object] | None
) -> tuple[Doubles, Doubles]:
    """Return each cluster's weighted sum of values, and its weight."""
    if clusters is None:
        return weights * values, weights
    if len(clusters) != len(values):
        raise ValueError(
            f"expected {len(values)} clusters, one for each value, got {len(clusters)}"
        )
    _, number = np.unique(np.asarray(clusters), return_inverse=True)
    sums, counts = np.bincount(number, weights * values), np.bincount(number, weights)
    return sums.astype(np.float64), counts.astype(np.float64)
