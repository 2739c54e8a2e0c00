from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.vectors import GalleryVectors
from satchel.search.index import GalleryIndex
from satchel.search.ranking import PHOTOS_PER_PRODUCT, rank_products
from satchel.search.reranking import RIDGE, STEEPNESS, collaborative_scores
from satchel.search.rules import SearchRules


def unit(rows: np.ndarray) -> np.ndarray:
    scaled = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled.astype(np.float32)


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.exp(STEEPNESS * (float(one @ other) - 1)))


def naive(query: np.ndarray, pictures: np.ndarray, products: np.ndarray, count: int) -> np.ndarray:
    """A kernel ridge regression on "is it this product", one for each product."""
    likeness = np.array([[kernel(one, other) for other in pictures] for one in pictures])
    asked = np.array([kernel(query, one) for one in pictures])
    answers = []
    for product in range(count):
        target = np.array([float(of == product) for of in products])
        answers.append(asked @ np.linalg.inv(likeness + RIDGE * np.eye(len(pictures))) @ target)
    return np.array(answers)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 4))
def test_shares_are_what_a_ridge_regression_answers(seed: int, many: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    pictures, query = unit(rng.normal(size=(many, 5))), unit(rng.normal(size=5))
    products = rng.integers(0, count, many)
    found = collaborative_scores(query, pictures, products, count)
    assert found.shape == (count,)
    assert found == pytest.approx(naive(query, pictures, products, count), abs=1e-4)


def test_nine_copies_say_no_more_than_one() -> None:
    """A product of nine alike pictures gains little on one whose single picture is as near."""
    pictures = unit(np.array([[1, 0.3, 0]] * 9 + [[1, 0, 0.3]]))
    products = np.array([0] * 9 + [1])
    first, second = collaborative_scores(unit(np.array([1.0, 0, 0])), pictures, products, 2)
    assert second < first < 1.2 * second  # nine times as much, were they counted
    alone, _ = collaborative_scores(pictures[0], pictures, products, 2)
    assert alone == pytest.approx(1, abs=0.03)


def crowded(rng: np.random.Generator, weight: float) -> GalleryIndex:
    """Six products of four pictures each."""
    vectors = unit(rng.normal(size=(24, 6)) + 2)
    names = np.arange(24, dtype=np.uint8)[:, None].repeat(32, 1)
    gallery = GalleryVectors(vectors, np.repeat(np.arange(6), 4), names, revision=1)
    rules = SearchRules(view_power=0, product_power=0, colour_weight=0, rerank_weight=weight)
    return GalleryIndex.of(gallery, "test", np.empty((0, 6), np.float32), rules)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_reranking_is_interpolated_with_the_score(seed: int, matched: int) -> None:
    rng = np.random.default_rng(seed)
    index, plain = crowded(rng, 0.4), crowded(np.random.default_rng(seed), 0)
    queries = unit(rng.normal(size=(2, 6)) + 2)
    before = rank_products(plain, queries, top=6)
    chosen = [one.product for one in before[:matched]]
    shares = []
    for query in queries:
        cosines = index.gallery.vectors @ query
        near = [np.flatnonzero(index.gallery.products == product) for product in chosen]
        near = [rows[np.argsort(-cosines[rows])[:PHOTOS_PER_PRODUCT]] for rows in near]
        owners = np.repeat(np.arange(matched), [len(rows) for rows in near])
        pictures = index.gallery.vectors[np.concatenate(near)]
        shares.append(naive(query, pictures, owners, matched))
    found = dict(zip(chosen, np.mean(shares, axis=0), strict=True))
    least, weight = min(found.values()), 0.4 * (1 - 1 / 4)
    expected = {
        one.product: (one.score + weight * found.get(one.product, least)) / (1 + weight)
        for one in before
    }
    after = rank_products(index, queries, top=6, reranked=matched)
    assert {one.product: one.score for one in after} == pytest.approx(expected, abs=1e-4)


def test_a_product_that_is_passed_over_is_as_good_as_not_there() -> None:
    rng = np.random.default_rng(3)
    index = crowded(rng, 0.4)
    query = unit(rng.normal(size=(1, 6)) + 2)
    first = rank_products(index, query, top=6)[0].product
    rest = index.gallery.rows(np.flatnonzero(index.gallery.products != first))
    less = GalleryIndex.of(rest, "test", np.empty((0, 6), np.float32), index.rules)
    assert rank_products(index, query, top=6, without=first) == rank_products(less, query, top=6)


def test_nothing_is_ranked_where_the_only_product_is_passed_over() -> None:
    vectors = unit(np.ones((2, 6)))
    names = np.arange(2, dtype=np.uint8)[:, None].repeat(32, 1)
    gallery = GalleryVectors(vectors, np.array([7, 7]), names, revision=1)
    index = GalleryIndex(gallery, "test")
    assert rank_products(index, vectors[:1], top=5, without=7) == []
