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
from satchel.adapt.validation import Scores, Validation, make_validation, searched
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.colour import COLOURS
from satchel.records import WHOLE_PHOTO, PhotoEmbedding
from satchel.search.index import GalleryIndex
from satchel.search.ranking import rank_products
from satchel.search.rules import SearchRules


def validation(right: list[int], unseen: list[bool], own: list[int]) -> Validation:
    return Validation(
        [], np.array([0, 1, 2, 2]), 3, [], np.array(right), np.array(unseen), np.array(own)
    )


def test_figures_by_hand() -> None:
    scores = np.array([[3, 2, 1], [3, 2, 1], [1, 2, 2], [2, 1, 3]], np.float32)
    # Ranks: 1, 2, 2 (a tie counts against it), 3; the last two are of an unseen product.
    found = validation([0, 1, 2, 1], [False, False, True, True], []).figures(Scores(scores, None))
    assert found == {"top1": 0.25, "top5": 1.0, "unseen1": 0.0, "unseen5": 1.0, "score": 0.625}


def test_own_photos_are_counted_where_there_are_any() -> None:
    scores = np.array([[3, 2, 1]], np.float32)
    own = np.array([[1, 2, 3]], np.float32)
    found = validation([0], [False], [3]).figures(Scores(scores, own))
    assert (found["own1"], found["own5"]) == (1.0, 1.0)


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


def seen(count: int, rng: np.random.Generator) -> list[PhotoEmbedding]:
    def unit(size: int) -> np.ndarray:
        rows = rng.random((count, size), dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    rows = zip(unit(16), unit(16), unit(COLOURS), strict=True)
    return [PhotoEmbedding(WHOLE_PHOTO, vector, whole, colours) for vector, whole, colours in rows]


def test_scores_are_those_that_identification_ranks_by() -> None:
    rng = np.random.default_rng(0)
    gallery, queries = seen(12, rng), seen(5, rng)
    labels = rng.permutation(np.repeat(np.arange(4), 3))
    scores = searched(queries, gallery, labels, 4, SearchRules())
    order = np.argsort(labels, kind="stable")
    vectors, wholes, colours = (
        np.stack([getattr(gallery[row], part) for row in order])
        for part in ("vector", "whole", "colours")
    )
    vectors_of_gallery = GalleryVectors(
        vectors, labels[order], np.zeros((12, 32), np.uint8), 0, colours
    )
    index = GalleryIndex.of(vectors_of_gallery, "", wholes - vectors, SearchRules())
    for query, own in zip(queries, scores, strict=True):
        ranked = rank_products(index, query.descriptor[None], top=4)
        assert [product.product for product in ranked] == np.argsort(-own).tolist()
        told = [product.score for product in ranked]
        np.testing.assert_allclose(told, np.sort(own)[::-1], atol=1e-5)
