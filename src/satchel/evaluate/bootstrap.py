"""How far a figure may be off: percentile bootstrap intervals over queries or clusters of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

ROUNDS: Final = 2_000
DRAWS_AT_ONCE: Final = 4_000_000


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

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is more than chance would give."""
        return not self.low <= 0 <= self.high


def interval(
    values: npt.NDArray[Any] | Sequence[float],
    clusters: npt.NDArray[Any] | Sequence[object] | None = None,
    *,
    level: float = 0.95,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a mean.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. Photos of one
    item resemble each other and fall or stand together: with `clusters`, whole clusters are
    drawn, and the interval becomes as wide as their number warrants (Field and Welsh,
    "Bootstrapping clustered data", 2007). Values that are all alike give an interval of width 0,
    which says that the bootstrap has nothing to draw from, and not that the figure is certain.

    Args:
        values: shape (n,): a figure of each query (hit or not, average precision).
        clusters: shape (n,): which item or product each query shows; None: each for itself.
        level: share of such intervals that hold the true mean.
        rounds: resamples.
        seed: the same seed and data give the same interval.

    Raises:
        ValueError: no values, a value that is not finite, or not one cluster for each.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"expected at least one value, in one row; got the shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError("expected finite values; leave out queries that have no figure")
    sums, counts = _by_cluster(numbers, clusters)
    rng = np.random.default_rng(seed)
    means = np.empty(rounds)
    step = max(1, DRAWS_AT_ONCE // len(sums))
    for start in range(0, rounds, step):
        drawn = rng.integers(0, len(sums), (min(step, rounds - start), len(sums)))
        means[start : start + step] = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(numbers.mean()), float(low), float(high), len(numbers), len(sums))


def difference(
    first: npt.NDArray[Any] | Sequence[float],
    second: npt.NDArray[Any] | Sequence[float],
    clusters: npt.NDArray[Any] | Sequence[object] | None = None,
    *,
    level: float = 0.95,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Return the interval of mean(second) − mean(first), on the same queries.

    Paired: what both systems find hard cancels out, so that two systems can differ for certain
    while the intervals of their figures overlap.

    Raises:
        ValueError: as in `interval`, or the two are not of the same queries.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape:
        raise ValueError(
            f"expected both systems on the same queries, got {one.shape} and {other.shape} values"
        )
    return interval(other - one, clusters, level=level, rounds=rounds, seed=seed)


def _by_cluster(
    values: npt.NDArray[np.float64], clusters: npt.NDArray[Any] | Sequence[object] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each cluster's sum and number of values."""
    if clusters is None:
        return values, np.ones(len(values))
    if len(clusters) != len(values):
        raise ValueError(
            f"expected {len(values)} clusters, one for each value, got {len(clusters)}"
        )
    _, number = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(number, values).astype(np.float64), np.bincount(number).astype(np.float64)
