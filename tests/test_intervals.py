from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.intervals import difference, interval, unseen_share


def naive(values: list[float], clusters: list[int], rounds: int, seed: int) -> list[float]:
    """Percentile bootstrap in loops: draw clusters, pool their values, take the mean."""
    rng = np.random.default_rng(seed)
    names = sorted(set(clusters))
    means = []
    for _ in range(rounds):
        pool: list[float] = []
        for drawn in rng.integers(0, len(names), len(names)):
            pool += [v for v, c in zip(values, clusters, strict=True) if c == names[drawn]]
        means.append(sum(pool) / len(pool))
    return [float(end) for end in np.percentile(means, (2.5, 97.5))]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=12),
    st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_as_loops(pairs: list[tuple[float, int]], seed: int) -> None:
    values, clusters = [value for value, _ in pairs], [cluster for _, cluster in pairs]
    found = interval(values, clusters, rounds=50, seed=seed)
    low, high = naive(values, clusters, 50, seed)
    unseen, mean = 1 - 0.025 ** (1 / len(set(clusters))), sum(values) / len(values)
    assert found.low == pytest.approx(min(low, mean - unseen * mean))
    assert found.high == pytest.approx(max(high, mean + unseen * (1 - mean)))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1 + 1e-9
    assert found.value == pytest.approx(np.mean(values))
    assert (found.values, found.clusters) == (len(values), len(set(clusters)))


def test_each_for_itself_is_a_cluster_of_one() -> None:
    values = np.random.default_rng(0).random(40)
    assert interval(values) == interval(values, np.arange(40))


def test_the_draws_do_not_depend_on_how_many_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(40)
    whole = interval(values)
    monkeypatch.setattr("satchel.intervals.DRAWS_AT_ONCE", 130)
    assert interval(values) == whole


def test_nine_in_ten_intervals_hold_the_truth() -> None:
    """150 experiments of 120 queries at a true 70 %; 95 % are wanted, and the seed is fixed."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(150):
        found = interval(rng.random(120) < 0.7, rounds=400)
        held += found.low <= 0.7 <= found.high
    assert 0.90 <= held / 150 <= 0.99


def test_clusters_that_fall_together_widen_the_interval() -> None:
    """30 items with 10 photos each that are all right or all wrong: 30 draws, and not 300."""
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(30), 10)
    held_by_item = held_by_photo = 0
    for _ in range(100):
        values = (rng.random(30) < 0.7)[clusters]
        by_item = interval(values, clusters, rounds=300)
        by_photo = interval(values, rounds=300)
        held_by_item += by_item.low <= 0.7 <= by_item.high
        held_by_photo += by_photo.low <= 0.7 <= by_photo.high
    assert held_by_item >= 88
    assert held_by_photo <= 65


def test_a_paired_difference_sees_what_two_intervals_hide() -> None:
    rng = np.random.default_rng(3)
    hard = rng.random(400)
    first, second = hard < 0.60, hard < 0.64
    one, other = interval(first), interval(second)
    assert one.high > other.low  # they overlap
    found = difference(first, second)
    assert found.value == pytest.approx(other.value - one.value)
    assert not found.low <= 0 <= found.high
    same = difference(first, first)
    assert same.low <= 0 <= same.high


def test_a_weight_counts_as_often_as_repeating_the_query_would() -> None:
    rng = np.random.default_rng(4)
    values, weights, products = rng.random(40), rng.integers(1, 4, 40), np.repeat(np.arange(10), 4)
    weighted = interval(values, products, weights=weights.astype(float))
    repeated = interval(np.repeat(values, weights), np.repeat(products, weights))
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx(
        (repeated.value, repeated.low, repeated.high)
    )
    assert weighted.clusters == repeated.clusters == 10


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [  # by hand: 0.025 ** (1 / n), as Clopper and Pearson have it for n of n
        (12, 12, 0.7354, 1.0),
        (0, 12, 0.0, 0.2646),
        (1, 1, 0.025, 1.0),
        (100, 100, 0.9638, 1.0),
    ],
)
def test_all_right_or_all_wrong_as_clopper_and_pearson(
    right: int, of: int, low: float, high: float
) -> None:
    values = [1.0] * right + [0.0] * (of - right)
    found = interval(values)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    # Ten photos of each product are no more products than one.
    often = interval(values * 10, list(range(of)) * 10)
    assert (often.low, often.high) == (found.low, found.high)


def test_what_is_not_seen_reaches_no_further_than_the_exact_interval() -> None:
    """For hits; ends solved for by bisection on sums of the binomial distribution."""
    for of in (1, 5, 12, 40):
        for right in range(of + 1):
            low, high = clopper_pearson(right, of)
            mean, unseen = right / of, unseen_share(of)
            assert low - 1e-9 <= mean * (1 - unseen)
            assert mean + (1 - mean) * unseen <= high + 1e-9


def clopper_pearson(right: int, of: int) -> tuple[float, float]:
    def at_least(k: int, p: float) -> float:
        return sum(math.comb(of, j) * p**j * (1 - p) ** (of - j) for j in range(k, of + 1))

    def solved(k: int, wanted: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if at_least(k, middle) < wanted else (low, middle)
        return low

    low = solved(right, 0.025) if right else 0.0
    return low, solved(right + 1, 0.975) if right < of else 1.0


def test_few_products_that_are_nearly_all_right_are_no_certainty() -> None:
    """Three products, 199 of 200 photos right: the bootstrap alone says 98.5 to 100 %."""
    found = interval([1.0] * 199 + [0.0], [0] * 70 + [1] * 65 + [2] * 65)
    assert found.low == pytest.approx(0.995 * 0.025 ** (1 / 3))


def test_one_product_says_next_to_nothing_of_others() -> None:
    found = interval([1, 0, 1, 1], ["A"] * 4)
    assert (found.low, found.high) == pytest.approx((0.75 * 0.025, 0.75 + 0.25 * 0.975))


def test_two_systems_that_never_differ_may_still_differ_elsewhere() -> None:
    found = difference([1] * 12, [1] * 12)
    assert (found.low, found.value, found.high) == pytest.approx((-0.2646, 0, 0.2646), abs=5e-5)
    assert unseen_share(12) == pytest.approx(0.2646, abs=5e-5)


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([], None, "at least one value"),
        ([0.5, float("nan")], None, "finite"),
        ([0.5, 1.5], None, r"in \[0, 1\]"),
        ([0.5, 0.5], [1], "2 clusters"),
    ],
)
def test_what_cannot_be_drawn_from(
    values: list[float], clusters: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        interval(values, clusters)


def test_two_systems_on_other_queries() -> None:
    with pytest.raises(ValueError, match="the same queries"):
        difference([1, 0], [1])
