from __future__ import annotations

import numpy as np
import pytest

from rankings import drawn_scores, outcomes_from_scores
from satchel.confidence.figures import calibration_error
from satchel.confidence.fit import fit_choices, fit_confidence
from satchel.confidence.model import conditional_probabilities, presence
from satchel.confidence.outcomes import Outcomes
from satchel.encode.card import Confidence, read_card


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

    found = fit_choices(features, possible, chosen, weight, start, prior=2.0)
    best = loss(found)
    for axis in range(3):
        for step in (-1e-3, 1e-3):
            assert loss(found + step * np.eye(3)[axis]) > best
    assert found == pytest.approx(truth, abs=0.5)


def test_much_trust_and_few_items_leave_the_weights_where_they_were() -> None:
    features, start = np.random.default_rng(0).normal(size=(3, 2, 2)), np.array([1.0, -1.0])
    all_of_them, ones = np.ones((3, 2), bool), np.ones(3)
    far = fit_choices(features, all_of_them, np.array([0, 1, 0]), ones, start, prior=1e6)
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
    sure = presence(fitted, unseen.ranked) * conditional_probabilities(fitted, unseen.ranked)[:, 0]
    _, error = calibration_error(sure, unseen.place == 0, unseen.weight)
    assert error < 0.03
    assert told.calibration_error < 0.03
    said = sure >= fitted.identified_at
    assert said.mean() > 0.03
    right = (unseen.place == 0)[said]
    assert np.average(right, weights=unseen.weight[said]) >= fitted.precision
    _, before = calibration_error(
        conditional_probabilities(fitted, unseen.ranked)[:, 0], unseen.place == 0, unseen.weight
    )
    assert before > 0.1  # what a softmax that knows of no absent items would say


def test_few_items_stay_near_what_one_starts_from() -> None:
    start = read_card().confidence
    few, _ = fit_confidence(outcomes_from_scores(*drawn_scores(0, 25)), start, "few")
    many, _ = fit_confidence(outcomes_from_scores(*drawn_scores(0, 3000)), start, "many")

    def moved(found: Confidence) -> float:
        return float(np.linalg.norm(np.subtract(found.sharpness, start.sharpness)))

    assert moved(few) < moved(many)


# -- thresholds --------------------------------------------------------------------------------
