from __future__ import annotations

from math import comb

import numpy as np
import pytest

from satchel.confidence.thresholds import (
    correlation_in_groups,
    threshold_of_precision,
    wilson_lower_bound,
)


@pytest.mark.parametrize(("right", "count"), [(57, 60), (100, 100), (30, 40), (190, 200)])
def test_wilsons_bound_is_near_the_exact_one(right: int, count: int) -> None:
    """Clopper and Pearson's: the share at which so many or more are right 1 time in 20."""
    bound = wilson_lower_bound(right / count, count)
    tail = sum(
        comb(count, k) * bound**k * (1 - bound) ** (count - k) for k in range(right, count + 1)
    )
    assert 0.02 < tail < 0.08
    assert bound < right / count


def precise(at: float, power: float) -> float:
    """Precision from `at` on of a uniform confidence, whose power is the chance of being right."""
    return (1 - at ** (power + 1)) / (power + 1) / (1 - at) if at < 1 else 1.0


def test_identified_begins_where_the_bound_is_high_enough() -> None:
    # 100 answers at 0.9, all right; 100 at 0.85, 90 right: 190 of 200 is 0.95, its bound is not.
    confidence = np.r_[np.full(100, 0.9), np.full(100, 0.85)]
    right = np.r_[np.ones(190, bool), np.zeros(10, bool)]
    assert threshold_of_precision(confidence, right, 0.95) == 0.855  # the next step above 0.85
    assert threshold_of_precision(confidence, right, 0.90) == 0.8  # the least that is tried
    assert threshold_of_precision(confidence, right, 0.99) == 1.0
    assert threshold_of_precision(confidence[:19], right[:19], 0.5) == 1.0  # too few to say


def test_errors_correlate_within_groups() -> None:
    rng = np.random.default_rng(0)
    group, weight = np.repeat(np.arange(3000), 5), rng.uniform(0.5, 2, 15000)
    of_group, own = np.repeat(rng.normal(size=3000), 5), rng.normal(size=15000)
    for share in (0.0, 0.3, 0.8):
        errors = np.sqrt(share) * of_group + np.sqrt(1 - share) * own
        assert correlation_in_groups(errors, weight, group) == pytest.approx(share, abs=0.03)
    assert correlation_in_groups(of_group, weight, group) == pytest.approx(1, abs=0.03)
    assert correlation_in_groups(own, weight, np.arange(15000)) == 0  # nobody has a like


def test_many_photos_of_a_product_are_no_more_than_one() -> None:
    confidence = np.r_[np.full(100, 0.95), np.full(100, 0.85)]
    right = np.r_[np.ones(190, bool), np.zeros(10, bool)]
    each, group = np.repeat(np.c_[confidence, right], 7, axis=0), np.repeat(np.arange(200), 7)
    asked = each[:, 0], each[:, 1].astype(bool)
    assert threshold_of_precision(*asked, 0.93) == 0.83  # 1,400 answers, 1,330 right
    assert threshold_of_precision(*asked, 0.93, None, group) == 0.855  # 200 products, 190 right


def test_the_precision_holds_where_a_product_s_photos_are_right_or_wrong_together() -> None:
    kept = {True: 0, False: 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        surely = rng.random(80)
        confidence = np.repeat(surely, 20) + 1e-6 * rng.random(1600)
        right, group = np.repeat(rng.random(80) < surely**2, 20), np.repeat(np.arange(80), 20)
        for grouped in kept:
            items = confidence, right
            at = threshold_of_precision(*items, 0.8, None, group if grouped else None)
            kept[grouped] += precise(at, 2) >= 0.8
    assert kept[True] >= 54 > kept[False]


def test_the_chosen_precision_holds_on_new_items_nearly_always() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        confidence = rng.random(800)
        right = rng.random(800) < confidence**1.5  # too sure
        at = threshold_of_precision(confidence, right, 0.8)
        held += precise(at, 1.5) >= 0.8
    assert held >= 54
