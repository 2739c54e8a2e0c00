from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.vectors import GalleryVectors
from satchel.search.index import GalleryIndex
from satchel.search.ranking import SHARPNESS, rank_products


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def random_index(seed: int, products: int, dimension: int = 16) -> GalleryIndex:
    rng = np.random.default_rng(seed)
    numbers = np.sort(rng.integers(0, products, products * 3)) * 7 + 3
    photos = rng.integers(0, 256, (len(numbers), 32), np.uint8)
    vectors = unit(rng.normal(size=(len(numbers), dimension)))
    return GalleryIndex(GalleryVectors(vectors, numbers, photos, revision=1), "test")


def naive(index: GalleryIndex, queries: np.ndarray) -> list[tuple[float, int]]:
    """Scores of every product by the docstring's words, in plain loops; best first."""
    scored = []
    for product in sorted(set(index.gallery.products.tolist())):
        of_queries = []
        for query in queries:
            cosines = [
                float(np.dot(query.astype(float), row.astype(float)))
                for row, owner in zip(index.gallery.vectors, index.gallery.products, strict=True)
                if owner == product
            ]
            weights = [np.exp(SHARPNESS * cosine) for cosine in cosines]
            parts = [w * c for w, c in zip(weights, cosines, strict=True)]
            of_queries.append(sum(parts) / sum(weights))
        scored.append((sum(of_queries) / len(of_queries), product))
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 4))
def test_agrees_with_the_naive_ranking(seed: int, products: int, queries: int) -> None:
    index = random_index(seed, products)
    asked = unit(np.random.default_rng(seed + 1).normal(size=(queries, 16)))
    ranked = rank_products(index, asked, top=5)
    expected = naive(index, asked)[:5]
    assert [found.score for found in ranked] == pytest.approx([s for s, _ in expected], abs=1e-5)
    gaps = np.diff([-s for s, _ in expected])
    if len(gaps) == 0 or gaps.min() > 1e-5:
        assert [found.product for found in ranked] == [product for _, product in expected]


def test_reference_photo_is_the_nearest_one() -> None:
    index = random_index(5, 4)
    row = 7
    (best, *_) = rank_products(index, index.gallery.vectors[row][None], top=1)
    assert best.product == index.gallery.products[row]
    assert best.photo == index.gallery.photos[row].tobytes().hex()


def test_fewer_products_than_asked_for() -> None:
    index = random_index(0, 3)
    ranked = rank_products(index, index.gallery.vectors[:1], top=5)
    assert len(ranked) == len(set(index.gallery.products.tolist()))


def test_a_product_with_very_many_photos_does_not_hide_the_others() -> None:
    """The nearest 200 photos are all of one product; the pool must still fill up."""
    rng = np.random.default_rng(0)
    crowd = unit(np.r_[[np.r_[1, np.zeros(15)]]] + rng.normal(scale=0.01, size=(500, 16)))
    others = unit(rng.normal(size=(10, 16)))
    index = GalleryIndex(
        GalleryVectors(
            np.concatenate([crowd, others]),
            np.r_[np.zeros(500, np.int64), np.arange(1, 11)],
            np.zeros((510, 32), np.uint8),
            revision=1,
        ),
        "test",
    )
    ranked = rank_products(index, crowd[:1], top=5)
    assert ranked[0].product == 0
    assert len(ranked) == 5
