from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.evaluate.ranks import by_group, class_ranks, confusions, hits, top_k


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6), st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_class_ranks_by_loops(seed: int, queries: int, classes: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (queries, classes)).astype(np.float32)  # full of ties
    labels = rng.integers(0, classes, queries)
    ranks = class_ranks(scores, labels, chunk=chunk)
    for query in range(queries):
        before = 0
        for other in range(classes):
            if other != labels[query] and scores[query, other] >= scores[query, labels[query]]:
                before += 1
        assert ranks[query] == before + 1


def test_a_tie_is_no_hit() -> None:
    scores = np.array([[0.4, 0.4, 0.2], [0.5, 0.3, 0.2]], np.float32)
    ranks = class_ranks(scores, np.array([0, 0]))
    assert ranks.tolist() == [2, 1]
    assert top_k(ranks, (1, 2)) == {1: 0.5, 2: 1.0}


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((2, 3)), np.array([0]), "expected scores"),
        (np.zeros((1, 3)), np.array([3]), "expected labels from 0 to 2"),
        (np.full((1, 3), np.nan), np.array([0]), "NaN"),
    ],
)
def test_wrong_scores(scores: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_ranks(scores.astype(np.float32), labels)


def test_a_rank_of_zero_is_no_hit() -> None:
    ranks = np.array([1, 2, 0, 0])
    assert hits(ranks, 5).tolist() == [True, True, False, False]
    assert top_k(ranks, (1, 5)) == {1: 0.25, 5: 0.5}


def test_groups_the_weakest_first() -> None:
    ranks = np.array([1, 2, 0, 1, 1, 3])
    groups = by_group(ranks, ["bag", "bag", "bag", "shoe", "shoe", None], ks=(1, 2))
    assert [(g.name, g.queries, g.top) for g in groups] == [
        ("", 1, {1: 0.0, 2: 0.0}),
        ("bag", 3, {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}),
        ("shoe", 2, {1: 1.0, 2: 1.0}),
    ]
    of_two = groups[2]
    assert (of_two.low, of_two.high) == pytest.approx((0.025**0.5, 1.0))  # two of two


def test_the_interval_of_a_group_is_over_its_products() -> None:
    ranks, shoes = np.ones(12, np.int64), ["shoe"] * 12
    (alone,) = by_group(ranks, shoes, clusters=list(range(12)))
    (tied,) = by_group(ranks, shoes, clusters=[1, 2] * 6)
    assert alone.low == pytest.approx(0.025 ** (1 / 12))
    assert tied.low == pytest.approx(0.025 ** (1 / 2))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "c", None]))))
def test_confusions_by_loops(pairs: list[tuple[str, str | None]]) -> None:
    codes, first = [code for code, _ in pairs], [taken for _, taken in pairs]
    found = confusions(codes, first, limit=100, examples=2)
    counts = [pair.count for pair in found]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == sum(taken is not None and taken != code for code, taken in pairs)
    for pair in found:
        rows = [row for row, both in enumerate(pairs) if both == (pair.code, pair.taken_for)]
        assert pair.count == len(rows)
        assert pair.of == codes.count(pair.code)
        assert pair.examples == tuple(rows[:2])
    assert confusions(codes, first, limit=1) == confusions(codes, first)[:1]
