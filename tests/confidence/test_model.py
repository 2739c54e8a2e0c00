from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rankings import ranking_of_one
from satchel.confidence.features import GAP_UNIT, NO_SCORE, SMALL_GAP, presence_features
from satchel.confidence.model import (
    Posterior,
    conditional_probabilities,
    given_own_pictures,
    named_counts,
    presence,
)
from satchel.encode.card import Confidence, read_card
from satchel.search.ranking import POOL


def made(**changes: object) -> Confidence:
    return read_card().confidence.model_copy(update=changes)


def naive_shares(confidence: Confidence, scores: list[float], photos: int) -> list[float]:
    """By the module's docstring, in plain loops."""
    log = np.log(min(photos, 50))
    powers = []
    for score in scores:
        gap = scores[0] - score
        g = (gap / GAP_UNIT, gap / GAP_UNIT * log, np.log(1 + gap / SMALL_GAP))
        powers.append(np.exp(-sum(w * x for w, x in zip(confidence.sharpness, g, strict=True))))
    further = np.exp(confidence.further[0] + confidence.further[1] * log)
    total = sum(powers) + (further if len(scores) == POOL else 0)
    return [power / total for power in powers]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=POOL),
    st.integers(1, 200),
)
def test_shares_are_what_the_docstring_says(scores: list[float], photos: int) -> None:
    scores = sorted(scores, reverse=True)
    confidence = made()
    found = conditional_probabilities(confidence, ranking_of_one(scores, photos))[0]
    assert found == pytest.approx(naive_shares(confidence, scores, photos))
    assert (np.diff(found) <= 1e-12).all()


def test_something_further_down_is_possible_only_where_not_all_were_ranked() -> None:
    scores = list(np.linspace(0.9, 0.5, POOL))
    assert conditional_probabilities(made(), ranking_of_one(scores, 1)).sum() < 1
    assert conditional_probabilities(made(), ranking_of_one(scores[:-1], 1)).sum() == pytest.approx(
        1
    )
    padded = [*scores[:-1], NO_SCORE]
    assert conditional_probabilities(made(), ranking_of_one(padded, 1))[0, -1] == 0
    assert conditional_probabilities(made(), ranking_of_one(padded, 1)).sum() == pytest.approx(1)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_odds_are_shifted_to_another_share_of_absent_items(one: float, other: float) -> None:
    # Bayes: odds(present) = likelihood ratio × (1 − absent) / absent
    confidence = made(absent_share=one)
    ranked = ranking_of_one([0.7, 0.6], 1)
    before, after = (presence(confidence, ranked, absent=share)[0] for share in (one, other))
    ratio = (after / (1 - after)) / (before / (1 - before))
    assert ratio == pytest.approx((1 - other) / other * one / (1 - one), rel=1e-6)
    assert before == pytest.approx(presence(confidence, ranked)[0])


def test_the_fewest_that_are_probable_together_are_named_five_at_most() -> None:
    confidences = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [0.4, 0.15, 0.1], [0.2, 0.2, 0.1]])
    assert named_counts(confidences).tolist() == [2, 1, 3, 0]
    assert named_counts(np.full((1, 12), 1 / 12)).tolist() == [0]
    assert named_counts(np.full((1, 8), 1 / 8)).tolist() == [5]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 99), st.integers(0, 3))
def test_presence_rests_on_what_the_docstring_says(
    seed: int, products: int, photos: int, gone: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = sorted(rng.uniform(0.2, 0.9, products).tolist(), reverse=True)
    evidence = [tuple(rng.random(2)) if rng.random() < 0.7 else (None, None) for _ in scores]
    padded, seen = [*scores, *[NO_SCORE] * gone], [*evidence, *[(2.0, 2.0)] * gone]
    found = presence_features(ranking_of_one(padded, photos, seen))[0]

    def lead(place: int) -> float:
        if products == 1:
            return np.log(1 + 0.5 / SMALL_GAP)
        gap = scores[0] - scores[min(place, products) - 1]
        return np.log(1 + min(gap, 0.5) / SMALL_GAP)

    def ahead(kind: int) -> float:
        first = evidence[0][kind]
        others = [one[kind] for one in evidence[:20] if one[kind] is not None]
        return np.log(1 + sum(other > first for other in others if first is not None))

    assert found == pytest.approx(
        [
            1,
            (scores[0] - 0.6) / 0.1,
            lead(2),
            np.log(min(photos, 50)),
            lead(5),
            ahead(0),
            ahead(1),
        ]
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1), st.integers(1, 255))
def test_own_pictures_share_their_probability_and_leave_the_rest_in_proportion(
    parts: list[float], something_else: float, chosen: int
) -> None:
    whole = sum(parts) + something_else or 1.0
    before = Posterior(tuple(part / whole for part in parts), sum(parts) / whole)
    own = [bool(chosen >> at & 1) for at in range(len(parts))]
    own[0] = own[0] or not any(own)
    after = given_own_pictures(before, own)
    assert sum(one for one, is_own in zip(after.confidences, own, strict=True) if is_own) == (
        pytest.approx(0.99)
    )
    assert len({one for one, is_own in zip(after.confidences, own, strict=True) if is_own}) == 1
    rest = [one for one, is_own in zip(before.confidences, own, strict=True) if not is_own]
    left = [one for one, is_own in zip(after.confidences, own, strict=True) if not is_own]
    others = sum(rest) + 1 - before.in_catalogue
    assume(not 1e-12 < others < 1e-6)  # rounding
    scale = 0.01 / others if others > 1e-9 else 0.0
    assert left == pytest.approx([one * scale for one in rest], abs=1e-6)
    assert after.in_catalogue == pytest.approx(0.99 + sum(left), abs=1e-6)
