from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.confidence.fit import (
    NEVER_REACHED,
    Outcomes,
    _grown_squares,
    area_under_roc,
    conformal_sum,
    correlation_in_groups,
    false_positive_rate,
    fit_choices,
    fit_confidence,
    joined,
    paired_outcomes,
    reliability_by_count,
    threshold_of_precision,
    wilson_lower_bound,
)
from satchel.confidence.model import FURTHEST, Rankings, likely_counts, presence, shares
from satchel.encode.card import LITE, read_card
from satchel.search.ranking import POOL


def drawn_scores(
    seed: int, queries: int, products: int = 30, noise: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose right product is ahead by a little, and by how much is chance."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, products, queries)
    scores = rng.normal(0.5, noise, (queries, products))
    scores[np.arange(queries), right] += rng.exponential(0.1, queries)
    return scores, right


def outcomes_from_scores(
    scores: np.ndarray,
    right: np.ndarray,
    photos: np.ndarray | None = None,
    *,
    absent_share: float = 0.33,
) -> Outcomes:
    """Rank each query with and without its right product, from a table of all scores."""
    table = np.asarray(scores, np.float64)
    counts = np.ones(table.shape[1], np.int64) if photos is None else photos
    of_right = np.arange(table.shape[1]) == right[:, None]
    there, order = _sorted(table, counts)
    without, _ = _sorted(np.where(of_right, FURTHEST, table), counts)
    found = order == right[:, None]
    places = np.where(found.any(1), found.argmax(1), -1)
    return paired_outcomes(there, places, without, right, absent_share=absent_share)


def _sorted(table: np.ndarray, photos: np.ndarray) -> tuple[Rankings, np.ndarray]:
    """The first `POOL` products of each row, best first, and their columns."""
    order = np.argsort(-table, axis=1, kind="stable")[:, :POOL]
    scores = np.take_along_axis(table, order, 1)
    evidence = np.full((*scores.shape, 2), np.nan)
    return Rankings(scores, photos[order[:, 0]], evidence), order


# -- outcomes ----------------------------------------------------------------------------------


def test_each_query_is_ranked_with_and_without_its_product() -> None:
    scores = np.array([[0.9, 0.2, 0.5], [0.1, 0.3, 0.2]])
    found = outcomes_from_scores(scores, np.array([2, 1]), np.array([4, 5, 6]), absent_share=0.25)
    assert found.ranked.scores.tolist() == [
        [0.9, 0.5, 0.2],
        [0.3, 0.2, 0.1],
        [0.9, 0.2, FURTHEST],
        [0.2, 0.1, FURTHEST],
    ]
    assert found.place.tolist() == [1, 0, -1, -1]
    assert found.known.tolist() == [True, True, False, False]
    assert found.ranked.photos.tolist() == [4, 5, 4, 6]
    assert found.weight.tolist() == [0.75, 0.75, 0.25, 0.25]
    assert found.group.tolist() == [2, 1, 2, 1]


def test_a_query_without_a_product_stands_for_an_absent_item_alone() -> None:
    found = outcomes_from_scores(np.array([[0.9, 0.2], [0.1, 0.3]]), np.array([-1, 1]))
    assert found.known.tolist() == [True, False, False]
    assert found.ranked.scores[1].tolist() == [0.9, 0.2]  # nothing is taken out


def test_evidence_stays_beside_the_ranking_that_it_is_of() -> None:
    evidence = np.array([[(0.1, 0.2), (0.3, np.nan), (0.5, 0.6)]])
    there = Rankings(np.array([[0.9, 0.8, 0.7]]), np.array([3]), evidence)
    without = Rankings(np.array([[0.85, 0.7]]), np.array([1]), evidence[:, 1:])
    found = paired_outcomes(there, np.array([0]), without, np.array([4]))
    assert found.ranked.scores.tolist() == [[0.9, 0.8, 0.7], [0.85, 0.7, FURTHEST]]
    assert found.ranked.photos.tolist() == [3, 1]
    assert (found.place.tolist(), found.known.tolist()) == ([0, -1], [True, False])
    assert np.array_equal(found.ranked.evidence[0], evidence[0], equal_nan=True)
    assert np.array_equal(found.ranked.evidence[1, :2], evidence[0, 1:], equal_nan=True)
    wider = joined([found, outcomes_from_scores(*drawn_scores(0, 2, 9))]).ranked
    assert np.isnan(wider.evidence[0, 3:]).all()
    assert np.array_equal(wider.rows(np.array([0])).evidence[0, :3], evidence[0], equal_nan=True)


def test_products_beyond_the_pool_are_further_down() -> None:
    scores = np.linspace(1, 0, POOL + 5)[None]
    assert outcomes_from_scores(scores, np.array([POOL - 1])).place.tolist() == [POOL - 1, -1]
    assert outcomes_from_scores(scores, np.array([POOL])).place.tolist() == [-1, -1]


def test_groups_of_joined_catalogues_stay_apart() -> None:
    one = outcomes_from_scores(*drawn_scores(0, 40, 30))
    other = outcomes_from_scores(*drawn_scores(1, 40, 60))
    both = joined([one, other])
    assert not set(both.group[:80]) & set(both.group[80:])
    assert both.ranked.scores.shape == (160, POOL)


# -- fitting -----------------------------------------------------------------------------------


def test_the_fit_is_where_every_other_direction_is_worse() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4, 3))
    possible = rng.random((300, 4)) < 0.8
    possible[:, 0] = True
    truth = np.array([1.0, -2.0, 0.5])
    noisy = np.where(possible, features @ truth + rng.gumbel(size=(300, 4)), -np.inf)
    chosen, weight, start = noisy.argmax(1), rng.uniform(0.5, 2, 300), np.array([0.5, 0.0, 0.0])

    def loss(w: np.ndarray) -> float:
        total = 2.0 / 2 * ((w - start) ** 2).sum()
        for row in range(300):
            powers = [np.exp(features[row, c] @ w) for c in range(4) if possible[row, c]]
            total -= weight[row] * np.log(np.exp(features[row, chosen[row]] @ w) / sum(powers))
        return float(total)

    found = fit_choices(features, possible, chosen, weight, start, trust=2.0)
    best = loss(found)
    for axis in range(3):
        for step in (-1e-3, 1e-3):
            assert loss(found + step * np.eye(3)[axis]) > best
    assert found == pytest.approx(truth, abs=0.5)


def test_much_trust_and_few_items_leave_the_weights_where_they_were() -> None:
    features, start = np.random.default_rng(0).normal(size=(3, 2, 2)), np.array([1.0, -1.0])
    all_of_them, ones = np.ones((3, 2), bool), np.ones(3)
    far = fit_choices(features, all_of_them, np.array([0, 1, 0]), ones, start, trust=1e6)
    assert far == pytest.approx(start, abs=1e-4)


def test_a_fitted_confidence_is_as_sure_as_it_is_right() -> None:
    def drawn(seed: int) -> Outcomes:
        """A product is right with the chance that a softmax of the scores gives it."""
        rng = np.random.default_rng(seed)
        scores = rng.uniform(0.3, 0.7, (4000, 12)) + rng.exponential(0.1, (4000, 12))
        powers = np.exp(scores / 0.04)
        chances = powers / powers.sum(1, keepdims=True)
        return outcomes_from_scores(scores, np.array([rng.choice(12, p=row) for row in chances]))

    fitted, told = fit_confidence(drawn(0), None, "made")
    unseen = drawn(1)
    sure = presence(fitted, unseen.ranked) * shares(fitted, unseen.ranked)[:, 0]
    _, error = reliability_by_count(sure, unseen.place == 0, unseen.weight)
    assert error < 0.03
    assert told.calibration_error < 0.03
    said = sure >= fitted.identified_at
    assert said.mean() > 0.03
    right = (unseen.place == 0)[said]
    assert np.average(right, weights=unseen.weight[said]) >= fitted.precision
    _, before = reliability_by_count(
        shares(fitted, unseen.ranked)[:, 0], unseen.place == 0, unseen.weight
    )
    assert before > 0.1  # what a softmax that knows of no absent items would say


def test_few_items_stay_near_what_one_starts_from() -> None:
    start = read_card().confidence
    few, _ = fit_confidence(outcomes_from_scores(*drawn_scores(0, 25)), start, "few")
    many, _ = fit_confidence(outcomes_from_scores(*drawn_scores(0, 3000)), start, "many")

    def moved(found: object) -> float:
        return float(np.linalg.norm(np.subtract(found.sharpness, start.sharpness)))

    assert moved(few) < moved(many)


# -- thresholds --------------------------------------------------------------------------------


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


def test_errors_are_alike_as_far_as_groups_make_them() -> None:
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
        at = conformal_sum(shares(confidence, old.ranked), old.place, coverage)
        counts = likely_counts(
            confidence.model_copy(update={"likely_at": at}), shares(confidence, new.ranked)
        )
        covered.append((new.place < counts).mean())
    assert np.mean(covered) >= coverage - 0.01
    assert np.mean(covered) < coverage + 0.06  # and not by naming everything


# -- figures -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_area_under_roc_counts_pairs(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], float)
    positive = np.array([one for _, one in pairs])
    above = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert area_under_roc(scores, positive) == pytest.approx(np.mean(above) if above else 0.5)


def test_false_positives_where_nineteen_of_twenty_positives_pass() -> None:
    scores = np.r_[np.arange(1, 21), [0.5, 1.5, 2.0, 30.0]]
    positive = np.r_[np.ones(20, bool), np.zeros(4, bool)]
    # 19 of 20 positives are at 2 or above; of the four negatives 2.0 and 30.0 are.
    assert false_positive_rate(scores, positive) == 0.5
    assert false_positive_rate(scores[:20], positive[:20]) == 1.0


def test_reliability_by_count_by_hand() -> None:
    confidence = np.array([0.1, 0.2, 0.7, 0.9])
    right = np.array([False, True, True, True])
    bins, error = reliability_by_count(confidence, right, bins=2)
    assert [(b.confidence, b.accuracy, b.queries) for b in bins] == [
        (pytest.approx(0.15), 0.5, 2),
        (pytest.approx(0.8), 1.0, 2),
    ]
    assert error == pytest.approx((0.35 + 0.2) / 2)
    _, weighted = reliability_by_count(confidence, right, np.array([1.0, 1, 3, 3]), bins=2)
    assert weighted == pytest.approx(0.25 * 0.35 + 0.75 * 0.2)
