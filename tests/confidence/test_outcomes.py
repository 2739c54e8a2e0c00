from __future__ import annotations

import numpy as np

from rankings import drawn_scores, outcomes_from_scores
from satchel.confidence.features import NO_SCORE, Rankings
from satchel.confidence.outcomes import joined, paired_outcomes
from satchel.search.ranking import POOL


def test_each_query_is_ranked_with_and_without_its_product() -> None:
    scores = np.array([[0.9, 0.2, 0.5], [0.1, 0.3, 0.2]])
    found = outcomes_from_scores(scores, np.array([2, 1]), np.array([4, 5, 6]), absent_share=0.25)
    assert found.ranked.scores.tolist() == [
        [0.9, 0.5, 0.2],
        [0.3, 0.2, 0.1],
        [0.9, 0.2, NO_SCORE],
        [0.2, 0.1, NO_SCORE],
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


def test_evidence_stays_with_its_ranking() -> None:
    evidence = np.array([[(0.1, 0.2), (0.3, np.nan), (0.5, 0.6)]])
    there = Rankings(np.array([[0.9, 0.8, 0.7]]), np.array([3]), evidence)
    without = Rankings(np.array([[0.85, 0.7]]), np.array([1]), evidence[:, 1:])
    found = paired_outcomes(there, np.array([0]), without, np.array([4]))
    assert found.ranked.scores.tolist() == [[0.9, 0.8, 0.7], [0.85, 0.7, NO_SCORE]]
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
