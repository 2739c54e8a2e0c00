"""What adapting is chosen by: whose queries, against what, and how they are counted."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.adapt.compose.foreground import Foregrounds, row_type
from satchel.adapt.compose.synthesis import Composer
from satchel.adapt.settings import SynthSettings
from satchel.adapt.validation import QueryRanks, Validation, make_validation


def validation(right: list[int], unseen: list[bool], own: list[int]) -> Validation:
    return Validation(
        [], np.array([0, 1, 2, 2]), 3, [], np.array(right), np.array(unseen), np.array(own)
    )


def test_figures_by_hand() -> None:
    ranks = QueryRanks(np.array([1, 2, 2, 0]), None)  # the last two are of an unseen product
    found = validation([0, 1, 2, 1], [False, False, True, True], []).figures(ranks)
    assert found == {"top1": 0.25, "top5": 0.75, "unseen1": 0.0, "unseen5": 0.5, "score": 0.5}


def test_own_photos_are_counted_where_there_are_any() -> None:
    ranks = QueryRanks(np.array([1]), np.array([3]))
    found = validation([0], [False], [3]).figures(ranks)
    assert (found["own1"], found["own5"]) == (0.0, 1.0)


def test_half_of_the_queries_are_of_products_that_are_not_trained_on() -> None:
    rows = np.zeros(6, row_type(32))
    rows["size_hw"], rows["photo_hw"] = 20, 32
    rows["foreground"][:, :20, :20] = 255
    foregrounds = Foregrounds(rows)
    composer = Composer(foregrounds, SynthSettings(), side_px=48)
    labels = np.array([0, 0, 1, 2, 3, 3])

    def make(seed: int) -> Validation:
        return make_validation(
            foregrounds, labels, composer, val_products=np.array([3]), count=10, seed=seed
        )

    made = make(0)
    assert made.unseen.tolist() == [True] * 5 + [False] * 5
    assert set(made.right[:5]) == {3}
    assert 3 not in made.right[5:]
    assert made.own.tolist() == [5]  # the further photo of the unseen product
    assert all((a == b).all() for a, b in zip(made.queries, make(0).queries, strict=True))
    assert any((a != b).any() for a, b in zip(made.queries, make(1).queries, strict=True))
