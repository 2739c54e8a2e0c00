from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.evaluate.embedding_map import (
    LEAST_PER_PRODUCT,
    embedding_map,
    principal_components,
    sample_by_product,
)


def clusters(products: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    names = np.repeat(np.arange(products), each)
    vectors = rng.normal(size=(products, 32))[names] + rng.normal(scale=0.1, size=(len(names), 32))
    return vectors.astype(np.float32), names


def share_of_like_neighbours(xy: np.ndarray, products: np.ndarray) -> float:
    away = ((xy[:, None] - xy[None]) ** 2).sum(-1)
    np.fill_diagonal(away, np.inf)
    return float((products[away.argmin(1)] == products).mean())


def test_tsne_keeps_products_together_and_repeats() -> None:
    pytest.importorskip("sklearn")
    vectors, products = clusters(6, 15)
    found = embedding_map(vectors, products, seed=1)
    assert found.method == "t-SNE"
    assert found.xy.dtype == np.float32
    assert 0 <= found.xy.min() < found.xy.max() <= 1
    assert share_of_like_neighbours(found.xy, products) > 0.95
    assert np.array_equal(found.xy, embedding_map(vectors, products, seed=1).xy)


def test_without_scikit_learn_it_says_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    vectors, products = clusters(3, 10)
    found = embedding_map(vectors, products)
    assert found.method == "PCA"
    assert share_of_like_neighbours(found.xy, products) > 0.95


def test_the_room_imports_nothing_of_the_train_extra() -> None:
    heavy = {"sklearn", "scipy", "torch", "matplotlib"}
    program = (
        "import sys, satchel.intervals, satchel.evaluate.embedding_map, "
        "satchel.evaluate.offline, satchel.evaluate.retrieval, satchel.evaluate.rendering; "
        f"assert not {heavy} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_components_by_eigenvectors() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32) * [5, 3, 1, 1, 1]
    found = principal_components(vectors.astype(np.float32), 2)
    _, axes = np.linalg.eigh(np.cov(vectors.T))
    expected = (vectors - vectors.mean(0)) @ axes[:, ::-1][:, :2]
    for column in range(2):
        assert abs(np.corrcoef(found[:, column], expected[:, column])[0, 1]) == pytest.approx(1)
        assert found[:, column].std() == pytest.approx(expected[:, column].std(), rel=1e-4)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_photos(count: int) -> None:
    found = embedding_map(np.ones((count, 4), np.float32), np.arange(count))
    assert found.xy.shape == (count, 2)
    assert np.all(found.xy == 0.5)


def test_one_dimension() -> None:
    found = embedding_map(np.array([[0], [1], [2]], np.float32), np.arange(3))
    assert found.xy.tolist() == [[0, 0.5], [0.5, 0.5], [1, 0.5]]


@given(st.integers(1, 60), st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_sample_is_even_over_products(products: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, products, 200)
    rows = sample_by_product(numbers, most, seed=seed)
    assert len(rows) <= most
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert np.array_equal(rows, sample_by_product(numbers, most, seed=seed))
    names, shown = np.unique(numbers[rows], return_counts=True)
    there = np.array([(numbers == name).sum() for name in names])
    # No product gives two photos more than one that has more to give.
    assert shown.max() - shown[shown < there].min(initial=shown.max()) <= 1
    assert len(names) == min(len(set(numbers.tolist())), max(1, most // LEAST_PER_PRODUCT))


def test_everything_where_it_fits() -> None:
    assert sample_by_product(np.zeros(7), 7).tolist() == list(range(7))
