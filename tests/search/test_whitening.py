from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.vectors import GalleryVectors
from satchel.search.index import GalleryIndex
from satchel.search.ranking import rank_products
from satchel.search.rules import SearchRules
from satchel.search.whitening import (
    PRIOR_DEGREES,
    Whitening,
    learn_whitening,
    ledoit_wolf,
    product_deviations,
    whiten_gallery,
)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def random_gallery(
    seed: int, products: int, dimension: int = 12
) -> tuple[GalleryVectors, np.ndarray]:
    """A gallery with one to four photos a product, and deviations of its views."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(products) * 3 + 1, rng.integers(1, 5, products))
    photos = rng.integers(0, 256, (len(numbers), 32), np.uint8)
    vectors = unit(rng.normal(size=(len(numbers), dimension)))
    views = rng.normal(scale=0.2, size=vectors.shape).astype(np.float32)
    return GalleryVectors(vectors, numbers, photos, revision=1), views


def naive_whitening(deviations: np.ndarray, power: float, shrinkage: float) -> np.ndarray:
    """The docstring's words: Σ shrunk, to the power, by its full eigendecomposition."""
    count, dimension = deviations.shape
    sample = sum(np.outer(z, z) for z in deviations.astype(float)) / count
    even = np.trace(sample) / dimension * np.eye(dimension)
    variances, axes = np.linalg.eigh((1 - shrinkage) * sample + shrinkage * even)
    return axes @ np.diag(variances**-power) @ axes.T


@pytest.mark.parametrize("count", [3, 11, 12, 40])  # fewer than dimensions, and more
@pytest.mark.parametrize("power", [0.25, 0.5])
def test_agrees_with_the_plain_formula(count: int, power: float) -> None:
    rng = np.random.default_rng(count)
    deviations = (rng.normal(size=(count, 12)) * np.geomspace(3, 0.1, 12)).astype(np.float32)
    vectors = unit(rng.normal(size=(6, 12)))
    whitening = learn_whitening(deviations, power=power)
    expected = naive_whitening(deviations, power, ledoit_wolf(deviations, count))
    assert np.allclose(whitening(vectors), unit(vectors @ expected), atol=1e-4)


def test_shrinkage_agrees_with_plain_loops() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(200, 5)) * (3, 1, 1, 1, 0.5)
    sample = z.T @ z / 200
    even = np.trace(sample) / 5 * np.eye(5)
    noise = sum(np.sum((np.outer(row, row) - sample) ** 2) for row in z) / 200 / 199
    expected = noise / np.sum((sample - even) ** 2)
    assert expected > PRIOR_DEGREES / (PRIOR_DEGREES + 200) / 10
    least = PRIOR_DEGREES / (PRIOR_DEGREES + 200)
    assert ledoit_wolf(z.astype(np.float32), 200) == pytest.approx(max(expected, least), rel=1e-4)
    few = z[:6].astype(np.float32)
    assert ledoit_wolf(few, 6) >= PRIOR_DEGREES / (PRIOR_DEGREES + 6)


def test_varying_directions_count_less() -> None:
    """Two things differ along axis 0; their views vary along axis 1, and the query's does too."""
    deviations = np.zeros((500, 4), np.float32)
    deviations[:, 1] = np.random.default_rng(0).normal(size=500)
    things = unit(np.array([[1, 0.0, 0, 1], [-1, 0.8, 0, 1]]))
    query = unit(np.array([[1, 0.9, 0, 0.9]]))
    whitening = learn_whitening(deviations, power=0.5)
    before, after = query @ things.T, whitening(query) @ whitening(things).T
    assert after[0, 0] - after[0, 1] > before[0, 0] - before[0, 1] + 0.2


def test_deviations_of_products_by_plain_loops() -> None:
    gallery, _ = random_gallery(7, 9)
    expected, degrees = [], 0
    for product in np.unique(gallery.products):
        rows = gallery.vectors[gallery.products == product]
        if len(rows) > 1:
            scale = np.sqrt(len(rows) / (len(rows) - 1))
            expected += [(row - rows.mean(0)) * scale for row in rows]
            degrees += len(rows) - 1
    found, independent = product_deviations(gallery.vectors, gallery.products)
    assert np.allclose(found, expected, atol=1e-6)
    assert independent == degrees


def test_of_very_many_photos_whole_products_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satchel.search.whitening.MAX_DEVIATIONS", 10)
    gallery, _ = random_gallery(7, 30)
    everything = int((np.unique(gallery.products, return_counts=True)[1] > 1).sum())
    found, independent = product_deviations(gallery.vectors, gallery.products)
    assert 2 <= len(found) - independent < everything / 2  # products that are left
    assert len(found) < len(gallery.vectors) / 2


RULES = SearchRules()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_every_photo_of_the_gallery_finds_itself(seed: int, products: int) -> None:
    gallery, views = random_gallery(seed, products)
    index = GalleryIndex.of(gallery, "test", views, RULES)
    for row, vector in enumerate(gallery.vectors):
        cosines, rows = index.search(index.prepared(vector[None]), 1)
        assert rows[0, 0] == row
        assert cosines[0, 0] == pytest.approx(1, abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_order_within_products_changes_nothing(seed: int) -> None:
    gallery, views = random_gallery(seed, 6)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(gallery.products)), gallery.products))
    other = whiten_gallery(
        gallery.vectors[order], gallery.products[order], rng.permutation(views), RULES
    )
    same = whiten_gallery(gallery.vectors, gallery.products, views, RULES)
    asked = unit(rng.normal(size=(3, 12)))
    assert np.allclose(same(asked), other(asked), atol=1e-4)


def test_queries_are_ranked_in_the_space_of_the_gallery() -> None:
    gallery, views = random_gallery(11, 8)
    rules = RULES.model_copy(update={"rerank_weight": 0.0})
    index = GalleryIndex.of(gallery, "test", views, rules)
    plain = GalleryIndex(index.gallery, "test")
    asked = unit(np.random.default_rng(5).normal(size=(2, 12)))
    found = rank_products(index, asked, top=8)
    assert found == rank_products(plain, index.whitening(asked), top=8)


def test_one_photo_is_compared_by_plain_cosine() -> None:
    vector = unit(np.ones((1, 12)))
    one = np.full((1, 12), 0.1, np.float32)
    whitening = whiten_gallery(vector, np.array([5]), one, RULES)
    asked = unit(np.random.default_rng(0).normal(size=(3, 12)))
    assert np.array_equal(whitening(asked), asked)


@pytest.mark.parametrize("photos", [2, 3, 5])
def test_a_few_photos_are_compared_nearly_so(photos: int) -> None:
    """A handful of deviations, even equal ones, must not take a direction away."""
    rng = np.random.default_rng(photos)
    vectors = unit(rng.normal(size=(photos, 12)))
    deviations = np.tile(unit(rng.normal(size=(1, 12))), (photos, 1))
    whitening = whiten_gallery(vectors, np.zeros(photos, np.int64), deviations, RULES)
    asked = unit(rng.normal(size=(50, 12)))
    assert ((whitening(asked) * asked).sum(1) > 0.8).all()


def test_two_photos_of_one_product_are_one_deviation() -> None:
    """Their deviations from their mean are opposite, and say nothing of a covariance."""
    vectors = unit(np.random.default_rng(1).normal(size=(2, 12)))
    deviations, independent = product_deviations(vectors, np.array([4, 4]))
    assert np.allclose(deviations[0], -deviations[1], atol=1e-6)
    assert independent == 1
    assert len(learn_whitening(deviations, power=0.5, degrees=independent).matrix) == 0


def test_no_power_changes_nothing() -> None:
    gallery, views = random_gallery(2, 8)
    rules = SearchRules(view_power=0, product_power=0, colour_weight=0)
    assert not len(whiten_gallery(gallery.vectors, gallery.products, views, rules).matrix)


def test_without_deviations_nothing_changes() -> None:
    assert not len(learn_whitening(np.empty((0, 12), np.float32), power=0.25).matrix)
    assert not len(learn_whitening(np.zeros((9, 12), np.float32), power=0.25).matrix)


def test_one_map_after_the_other() -> None:
    rng = np.random.default_rng(4)
    first, second = (Whitening(rng.normal(size=(12, 12)).astype(np.float32)) for _ in range(2))
    rows = unit(rng.normal(size=(5, 12)))
    assert np.allclose(first.then(second)(rows), second(first(rows)), atol=1e-5)
    for same in (first.then(Whitening.none()), Whitening.none().then(first)):
        assert np.array_equal(same.matrix, first.matrix)
