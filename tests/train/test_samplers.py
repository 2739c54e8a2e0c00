"""Samplers as properties: an epoch is complete, batches do not depend on earlier ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.train.samplers import Batches, ProductBatches, ShuffledBatches

COUNTS = st.lists(st.integers(1, 12), min_size=1, max_size=12)
"""Photos of each product."""

Maker = Callable[..., Batches]
"""(process, processes) → the sampler of that process."""


def labels_of(counts: list[int], seed: int) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)) * 10, counts)  # numbers of products need not be dense
    return np.random.default_rng(seed).permutation(labels)


@st.composite
def samplers(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, int]]:
    counts = draw(COUNTS)
    labels = labels_of(counts, draw(st.integers(0, 9)))
    options = {
        "products": draw(st.integers(1, len(counts))),
        "photos": draw(st.integers(1, 5)),
        "seed": draw(st.integers(0, 2**32)),
    }
    return labels, options


@st.composite
def both_kinds(draw: st.DrawFn) -> Maker:
    if draw(st.booleans()):
        labels, options = draw(samplers())
        return lambda process=0, processes=1: ProductBatches(
            labels, **options, process=process, processes=processes
        )
    rows, size = draw(st.integers(1, 50)), draw(st.integers(1, 20))
    seed = draw(st.integers(0, 2**32))
    return lambda process=0, processes=1: ShuffledBatches(
        rows, batch_size=size, seed=seed, process=process, processes=processes
    )


@given(samplers(), st.integers(0, 3), st.integers(1, 4))
def test_a_batch_has_k_photos_of_p_products(
    given_: tuple[np.ndarray, dict[str, int]], epoch: int, processes: int
) -> None:
    labels, options = given_
    available = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    for process in range(processes):
        sampler = ProductBatches(labels, **options, process=process, processes=processes)
        for rows in sampler.epoch(epoch):
            grouped = rows.reshape(options["products"], options["photos"])
            products = labels[grouped]
            assert (products == products[:, :1]).all()
            assert len(set(products[:, 0])) == options["products"]
            for group, product in zip(grouped, products[:, 0], strict=True):
                times = np.unique(group, return_counts=True)[1]
                assert len(times) == min(options["photos"], available[product])
                assert times.max() - times.min() <= 1  # repeats are spread evenly


@given(samplers(), st.integers(1, 4))
def test_an_epoch_is_as_short_as_it_can_be(
    given_: tuple[np.ndarray, dict[str, int]], processes: int
) -> None:
    labels, options = given_
    groups = [-(-n // options["photos"]) for n in np.unique(labels, return_counts=True)[1]]
    needed = max(-(-sum(groups) // options["products"]), *groups)
    sampler = ProductBatches(labels, **options, processes=processes)
    assert len(sampler) == -(-needed // processes)


@given(both_kinds(), st.integers(0, 3), st.integers(1, 5))
def test_processes_divide_an_epoch_that_contains_every_photo(
    make: Maker, epoch: int, processes: int
) -> None:
    parts = [make(process, processes) for process in range(processes)]
    assert len({len(part) for part in parts}) == 1
    dealt = [list(part.epoch(epoch)) for part in parts]
    seen = np.concatenate([rows for part in dealt for rows in part])
    rows_there_are = set(np.concatenate(list(make(0, 1).epoch(epoch))).tolist())
    assert set(seen.tolist()) == rows_there_are == set(range(len(rows_there_are)))
    # Together they hold the batches of the whole plan, each once, dealt out in turn.
    plan = parts[0]._plan_of(epoch)
    turns = [dealt[number % processes][number // processes] for number in range(len(plan))]
    np.testing.assert_array_equal(np.stack(turns), plan)


@given(both_kinds(), st.integers(0, 5), st.data())
def test_batches_do_not_depend_on_earlier_ones(
    make: Maker, epoch: int, data: st.DataObject
) -> None:
    whole = list(make().epoch(epoch))
    start = data.draw(st.integers(0, len(whole) - 1))
    fresh = make()
    np.testing.assert_array_equal(fresh.batch(epoch, start), whole[start])
    fresh.batch(epoch + 1, 0)  # whatever was computed before
    np.testing.assert_array_equal(np.stack(list(fresh.epoch(epoch, start))), whole[start:])


@given(both_kinds(), st.integers(0, 5))
def test_a_batch_that_is_changed_changes_nothing_else(make: Maker, epoch: int) -> None:
    sampler = make()
    before = sampler.batch(epoch, 0).copy()
    sampler.batch(epoch, 0)[:] = -1
    np.testing.assert_array_equal(sampler.batch(epoch, 0), before)


def test_epochs_and_seeds_differ() -> None:
    labels = np.repeat(np.arange(20), 5)
    orders = {
        tuple(
            np.concatenate(list(ProductBatches(labels, products=4, photos=2, seed=seed).epoch(e)))
        )
        for seed in range(3)
        for e in range(3)
    }
    assert len(orders) == 9


def test_shuffled_batches_contain_each_row_once_before_the_fill() -> None:
    """10 rows in batches of 4: three batches, the last one filled up with the first two rows."""
    batches = list(ShuffledBatches(10, batch_size=4, seed=1).epoch(0))
    order = np.concatenate(batches)
    assert sorted(order[:10]) == list(range(10))
    assert order[10:].tolist() == order[:2].tolist()


def test_all_pairs_of_products_are_equally_frequent() -> None:
    """Over 200 epochs of 8 equal products in pairs, each of 28 pairs comes about as often."""
    labels = np.repeat(np.arange(8), 6)
    sampler, met = ProductBatches(labels, products=2, photos=2, seed=0), np.zeros((8, 8))
    for epoch in range(200):
        for rows in sampler.epoch(epoch):
            a, b = sorted(set(labels[rows]))
            met[a, b] += 1
    each = met[np.triu_indices(8, 1)]
    assert each.sum() == 200 * 12
    assert 0.6 < each.min() / each.mean() < each.max() / each.mean() < 1.4


def test_a_large_product_is_spread_over_the_epoch() -> None:
    """One product of 20 photos beside 40 of 2: its 5 batches stand anywhere among the 9."""
    labels = np.repeat(np.arange(41), [20] + [2] * 40)
    sampler, times = ProductBatches(labels, products=5, photos=4, seed=0), np.zeros(9)
    for epoch in range(200):
        there = [0 in labels[rows] for rows in sampler.epoch(epoch)]
        assert sum(there) == 5
        times += there
    assert 0.6 < times.min() / times.mean() < times.max() / times.mean() < 1.4


def test_wrong_arguments_are_refused() -> None:
    labels = np.array([0, 0, 1])
    for options in (
        {"products": 3, "photos": 2},
        {"products": 0, "photos": 2},
        {"products": 2, "photos": 0},
        {"products": 2, "photos": 1, "seed": -1},
        {"products": 2, "photos": 1, "process": 2, "processes": 2},
    ):
        with pytest.raises(ValueError, match="expected"):
            ProductBatches(labels, **options)
    with pytest.raises(ValueError, match="at least one row"):
        ShuffledBatches(0, batch_size=4)
    with pytest.raises(ValueError, match="from 0 to 0"):
        ShuffledBatches(3, batch_size=4).batch(0, 1)
