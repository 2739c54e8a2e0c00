from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankings import drawn_scores, outcomes_from_scores
from satchel.confidence.model import conditional_probabilities, likely_counts
from satchel.confidence.thresholds import (
    NEVER_REACHED,
    _grown_squares,
    conformal_sum,
    correlation_in_groups,
    threshold_of_precision,
    wilson_lower_bound,
)
from satchel.encode.card import LITE, read_card


@pytest.mark.parametrize(("right", "count"), [(57, 60), (100, 100), (30, 40), (190, 200)])
def test_wilsons_bound_is_near_the_exact_one(right: int, count: int) -> None:
    """Clopper and Pearson's: the share at which so many or more are right 1 time in 20."""
    bound = wilson_lower_bound(right / count, count)
    tail = sum(
        comb(count, k) * bound**k * (1 - bound) ** (count - k) for k in range(right, count + 1)
    )
    assert 0.02 < tail < 0.08
    assert bound < right / count


def test_identified_begins_where_the_bound_is_high_enough() -> None:
    # 100 answers at 0.9, all right; 100 at 0.8, 90 right: 190 of 200 is 0.95, its bound is not.
    confidence = np.r_[np.full(100, 0.9), np.full(100, 0.8)]
    right = np.r_[np.ones(190, bool), np.zeros(10, bool)]
    assert threshold_of_precision(confidence, right, 0.95) == 0.9
    assert threshold_of_precision(confidence, right, 0.90) == 0.8
    assert threshold_of_precision(confidence, right, 0.99) == 1.0
    assert threshold_of_precision(confidence[:19], right[:19], 0.5) == 1.0  # too few to say


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=40))
def test_groups_count_as_plain_loops_say(items: list[tuple[int, int]]) -> None:
    group, weight = (np.array(column) for column in zip(*items, strict=True))
    grown = np.cumsum(_grown_squares(weight.astype(float), group))
    for end in range(1, len(items) + 1):
        sums = [weight[:end][group[:end] == one].sum() for one in set(group[:end].tolist())]
        assert grown[end - 1] == pytest.approx(sum(one**2 for one in sums))


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
    confidence = np.r_[np.full(100, 0.9), np.full(100, 0.8)]
    right = np.r_[np.ones(190, bool), np.zeros(10, bool)]
    each, group = np.repeat(np.c_[confidence, right], 7, axis=0), np.repeat(np.arange(200), 7)
    asked = each[:, 0], each[:, 1].astype(bool)
    assert threshold_of_precision(*asked, 0.93) == 0.8  # 1,400 answers, 1,330 right
    assert threshold_of_precision(*asked, 0.93, None, group) == 0.9  # 200 products, 190 right
    assert threshold_of_precision(confidence, right, 0.93) == 0.9


def test_the_precision_holds_where_a_product_s_photos_are_right_or_wrong_together() -> None:
    kept = {True: 0, False: 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        surely = rng.random(80)
        confidence = np.repeat(surely, 20) + 1e-6 * rng.random(1600)
        right, group = np.repeat(rng.random(80) < surely, 20), np.repeat(np.arange(80), 20)
        for grouped in kept:
            at = threshold_of_precision(confidence, right, 0.8, None, group if grouped else None)
            kept[grouped] += at >= 1 or (1 + at) / 2 >= 0.8
    assert kept[True] >= 54 > kept[False]


def test_the_chosen_precision_holds_on_new_items_nearly_always() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        confidence = rng.random(800)
        right = rng.random(800) < confidence
        at = threshold_of_precision(confidence, right, 0.8)
        held += at == 1.0 or (1 + at) / 2 >= 0.8  # precision of a uniform confidence from `at` on
    assert held >= 54


def test_conformal_sum_by_hand() -> None:
    # Nine items of one share each: ⌈10 × 0.8⌉ = the 8th smallest sum.
    conditional = np.array([[value, 0.0] for value in np.arange(1, 10) / 10])
    assert conformal_sum(conditional, np.zeros(9, int), 0.8) == pytest.approx(0.8)
    assert conformal_sum(conditional, np.zeros(9, int), 0.95) == NEVER_REACHED  # 10th of nine
    assert conformal_sum(conditional, np.full(9, -1), 0.5) == NEVER_REACHED
    assert conformal_sum(conditional[:0], np.zeros(0, int), 0.5) == NEVER_REACHED


@pytest.mark.parametrize("coverage", [0.7, 0.9])
def test_likely_ones_hold_the_right_one_as_often_as_promised(coverage: float) -> None:
    """Whatever the shares are worth: here they come from weights that were never fitted."""
    confidence = read_card(LITE).confidence
    covered = []
    for seed in range(40):
        old, new = (
            outcomes_from_scores(*drawn_scores(1000 * part + seed, 150, noise=0.1))
            for part in (1, 2)
        )
        old, new = old.rows(old.known), new.rows(new.known)
        at = conformal_sum(conditional_probabilities(confidence, old.ranked), old.place, coverage)
        counts = likely_counts(
            confidence.model_copy(update={"likely_at": at}),
            conditional_probabilities(confidence, new.ranked),
        )
        covered.append((new.place < counts).mean())
    assert np.mean(covered) >= coverage - 0.01
    assert np.mean(covered) < coverage + 0.06  # and not by naming everything


# -- figures -----------------------------------------------------------------------------------
