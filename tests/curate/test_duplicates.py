from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.curate.duplicates import (
    Groups,
    duplicate_candidates,
    join,
)


def naive_labels(n: int, pairs: list[tuple[int, int]]) -> list[int]:
    groups = [{row} for row in range(n)]
    for i, j in pairs:
        merged = groups[i] | groups[j]
        for row in merged:
            groups[row] = merged
    return [min(group) for group in groups]


@given(st.integers(2, 30), st.data())
@settings(deadline=None, max_examples=60)
def test_join_is_that_of_sets(n: int, data: st.DataObject) -> None:
    row = st.integers(0, n - 1)
    pairs = data.draw(st.lists(st.tuples(row, row), max_size=40))
    cut = data.draw(st.integers(0, len(pairs)))
    labels = np.arange(n)
    for part in (pairs[:cut], pairs[cut:]):
        labels = join(labels, *np.array(part, np.int64).reshape(-1, 2).T)
    assert list(labels) == naive_labels(n, pairs)


def test_groups_list_their_members() -> None:
    groups = Groups.connected(6, np.array([[4, 1], [5, 4], [0, 3]]))
    assert list(groups.labels) == [0, 1, 2, 0, 1, 1]
    assert [list(rows) for rows in groups.members()] == [[0, 3], [1, 4, 5]]


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_candidates_are_those_of_sorting_all_cosines(seed: int, n: int, k: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = set()
    for i in range(n):
        cosines = {j: float(vectors[i] @ vectors[j]) for j in range(n) if j != i}
        for j in sorted(cosines, key=lambda j: -cosines[j])[:k]:
            if cosines[j] >= 0.3:
                expected.add((min(i, j), max(i, j)))
    found = duplicate_candidates(vectors, k, 0.3, chunk=7)
    assert [tuple(pair) for pair in found] == sorted(expected)
