from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.nearest import nearest_rows


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(0, 12))
def test_agrees_with_sorting_everything(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    # Small integers: ties occur, and inner products are exact.
    vectors = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (4, 3)).astype(np.float32)
    scores, rows = nearest_rows(queries, vectors, k)
    assert rows.shape == scores.shape == (4, min(k, n))
    for query, found, values in zip(queries, rows, scores, strict=True):
        products = [float(query @ vector) for vector in vectors]
        assert values.tolist() == sorted(products, reverse=True)[:k]
        assert [products[row] for row in found] == values.tolist()
        assert len(set(found.tolist())) == len(found)


def test_of_equal_inner_products_the_lower_row_comes_first() -> None:
    _, rows = nearest_rows(np.ones((1, 2), np.float32), np.ones((5, 2), np.float32), 5)
    assert rows.tolist() == [[0, 1, 2, 3, 4]]


def test_queries_in_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, vectors = (rng.normal(size=(n, 4)).astype(np.float32) for n in (7, 20))
    whole = nearest_rows(queries, vectors, 3)
    monkeypatch.setattr("satchel.nearest.SCORES_AT_ONCE", 40)
    chunked = nearest_rows(queries, vectors, 3)
    assert np.array_equal(whole[1], chunked[1])
    assert np.allclose(whole[0], chunked[0])
