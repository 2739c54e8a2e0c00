from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.evaluate.bootstrap import difference, interval


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
    assert [found.low, found.high] == pytest.approx(naive(values, clusters, 50, seed))
    assert found.value == pytest.approx(np.mean(values))
    assert (found.values, found.clusters) == (len(values), len(set(clusters)))


def test_each_for_itself_is_a_cluster_of_one() -> None:
    values = np.random.default_rng(0).random(40)
    assert interval(values) == interval(values, np.arange(40))


def test_the_draws_do_not_depend_on_how_many_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(40)
    whole = interval(values)
    monkeypatch.setattr("satchel.evaluate.bootstrap.DRAWS_AT_ONCE", 130)
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
    assert found.excludes_zero
    assert not difference(first, first).excludes_zero


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([], None, "at least one value"),
        ([0.5, float("nan")], None, "finite"),
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
