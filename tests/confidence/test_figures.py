from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankings import ranking_of_one
from satchel.confidence.features import Rankings
from satchel.confidence.figures import (
    area_under_roc,
    calibration_error,
    false_positive_rate,
    measure,
)
from satchel.confidence.outcomes import Outcomes
from satchel.encode.card import read_card


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


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.1, 0.2, 0.7, 0.9])
    right = np.array([False, True, True, True])
    bins, error = calibration_error(confidence, right, bins=2)
    assert [b.confidence for b in bins] == pytest.approx([0.15, 0.8])
    assert [(b.accuracy, b.queries) for b in bins] == [(0.5, 2), (1.0, 2)]
    assert error == pytest.approx((0.35 + 0.2) / 2)
    _, weighted = calibration_error(confidence, right, np.array([1.0, 1, 3, 3]), bins=2)
    assert weighted == pytest.approx(0.25 * 0.35 + 0.75 * 0.2)


def test_twelve_of_twelve_products_right_are_not_a_hundred_per_cent_for_certain() -> None:
    products = 12
    ranked = Rankings.joined([ranking_of_one([0.9, 0.1], 3)] * products)
    everything_known = np.ones(products, np.bool_)
    outcomes = Outcomes(
        ranked,
        np.zeros(products, np.int64),
        everything_known,
        np.arange(products),
        np.ones(products),
    )
    confidence = read_card().confidence.model_copy(update={"identified_at": 0.8})
    found = measure(confidence, outcomes, np.ones(products), np.full((products, 1), 0.9))
    low = 0.025 ** (1 / 12)  # Clopper and Pearson
    for name in ("right", "right_when_identified", "right_when_named"):
        assert getattr(found, name) == 1.0
        assert found.intervals[name] == pytest.approx((low, 1.0))
    assert "absent_caught" not in found.intervals  # there are no absent items
    stored = found.stored()
    assert (stored["right_low"], stored["right_high"]) == pytest.approx((low, 1.0))
    assert stored["right"] == 1.0
    assert not {"bins", "intervals"} & stored.keys()
