from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.curate.selection import best_n


def photos(count: int, seed: int, dimensions: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, rng.uniform(0.2, 1, count)


def naive(vectors: np.ndarray, quality: np.ndarray, n: int) -> list[int]:
    """Facility location by its definition: recompute the whole objective for every candidate."""

    def covered(chosen: list[int]) -> float:
        return sum(
            max((max(0.0, float(vectors[i] @ vectors[j])) for i in chosen), default=0.0)
            for j in range(len(vectors))
        )

    chosen: list[int] = []
    while len(chosen) < min(n, len(vectors)):
        now = covered(chosen)
        gains = {
            i: quality[i] * (covered([*chosen, i]) - now)
            for i in range(len(vectors))
            if i not in chosen
        }
        chosen.append(max(gains, key=lambda i: gains[i]))
    return chosen


@given(st.integers(1, 9), st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_as_the_definition(count: int, seed: int, n: int) -> None:
    vectors, quality = photos(count, seed)
    found = best_n(vectors, quality, n).tolist()
    expected = naive(vectors, quality, n)
    # Once everything is covered, the gains left are rounding errors and the order means nothing.
    useful = min(len(expected), len(vectors) - 2)
    assert found[:useful] == expected[:useful]
    assert len(found) == len(set(found)) == min(n, count)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_photos_has_no_part_in_the_choice(seed: int) -> None:
    vectors, quality = photos(8, seed)
    vectors[5], quality[5] = vectors[2], quality[2]
    order = np.random.default_rng(seed).permutation(8)
    chosen = vectors[best_n(vectors, quality, 4)]
    again = vectors[order][best_n(vectors[order], quality[order], 4)]
    assert np.array_equal(chosen, again)


def test_a_copy_comes_after_everything_else() -> None:
    vectors, quality = photos(6, seed=3)
    vectors = np.concatenate([vectors, vectors[:2]])
    quality = np.r_[quality, 1.0, 1.0]  # the copies are even the better ones
    first = best_n(vectors, quality, 6)
    assert len(np.unique(vectors[first], axis=0)) == 6


def test_views_before_nearness_to_the_mean() -> None:
    """Seven photos of the front, two of the back, one of the sole: one of each is chosen."""
    rng = np.random.default_rng(0)
    views = np.eye(3, dtype=np.float32)[[0] * 7 + [1] * 2 + [2]]
    vectors = views + rng.normal(scale=0.02, size=views.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert set(views[best_n(vectors, np.ones(10), 3)].argmax(1)) == {0, 1, 2}


def test_of_two_copies_the_better_one() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    # Gains at first: 2 × 0.5 = 1.0, 2 × 0.9 = 1.8, 1 × 0.7 = 0.7; then 0 for the copy, 0.7.
    assert best_n(vectors, np.array([0.5, 0.9, 0.7]), 2).tolist() == [1, 2]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_of_no_photos(n: int) -> None:
    assert best_n(np.zeros((0, 4), np.float32), np.zeros(0), n).tolist() == []
