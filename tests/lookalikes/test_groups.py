"""Look-alikes: groups without chains, and groups counted as one."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.lookalike_groups import Decided
from satchel.lookalikes.groups import cluster, fold
from satchel.lookalikes.near_pairs import Near, Pairs


def near(*pairs: tuple[int, int], cosine: float = 0.95) -> Pairs:
    return {pair: Near(cosine, ("a" * 64, "b" * 64)) for pair in pairs}


def test_a_chain_is_no_group() -> None:
    pairs = near((1, 2)) | near((2, 3), cosine=0.97)
    assert cluster(pairs, Decided()) == [(2, 3)]  # the nearer pair; 1 and 3 are not near
    assert cluster(pairs | near((1, 3)), Decided()) == [(1, 2, 3)]


def test_what_people_decided_is_kept() -> None:
    triangle = near((1, 2), (2, 3), (1, 3))
    # A confirmed pair is held together though it is not near any more; 3 joins it, or stays out.
    assert cluster(near((2, 3), (1, 3)), Decided(same=((1, 2),))) == [(1, 2, 3)]
    assert cluster(near((2, 3)), Decided(same=((1, 2),))) == []
    assert cluster(triangle, Decided(same=((1, 2, 3),))) == []  # nothing is left to propose
    assert cluster(triangle, Decided(different=frozenset({(1, 2), (1, 3), (2, 3)}))) == []
    without = cluster(triangle, Decided(different=frozenset({(1, 3)})))
    assert without == [(1, 2)]  # of equally near pairs the first


edges = st.dictionaries(
    st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1]),
    st.sampled_from([0.91, 0.95, 0.95, 0.99]),
    max_size=40,
)
pairs_of_ids = st.sets(
    st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1]),
    max_size=6,
)


@settings(deadline=None, max_examples=150)
@given(edges, pairs_of_ids, st.integers(2, 6), st.randoms())
def test_groups_hold_together_and_cannot_be_merged(
    cosines: dict[tuple[int, int], float],
    different: set[tuple[int, int]],
    most: int,
    order: object,
) -> None:
    pairs = {pair: Near(cosine, ("", "")) for pair, cosine in cosines.items()}
    decided = Decided(different=frozenset(different))
    groups = cluster(pairs, decided, max_members=most)
    members = [product for group in groups for product in group]
    assert len(members) == len(set(members))

    def allowed(group: tuple[int, ...]) -> bool:
        inside = set(combinations(sorted(group), 2))
        return len(group) <= most and inside <= set(pairs) and inside.isdisjoint(different)

    assert all(allowed(group) for group in groups)
    alone = [(product,) for product in range(12) if product not in members]
    assert not any(allowed(a + b) for a, b in combinations([*groups, *alone], 2))
    shuffled = list(pairs.items())
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cluster(dict(shuffled), decided, max_members=most) == groups


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.lists(st.integers(0, 24), max_size=24, unique=True),
    st.integers(2, 5),
)
def test_folding_loses_and_invents_nothing(
    values: list[float], mixed: list[int], size: int
) -> None:
    """Products are 0, 1, 2 … best first; groups hold some of them, and some that are not ranked."""
    confidences = sorted(values, reverse=True)
    products = list(range(len(values)))
    groups = [tuple(mixed[at : at + size]) for at in range(0, len(mixed), size)]
    folded = fold(products, confidences, groups)
    assert sorted(place for places in folded for place in places) == products
    sums = [sum(confidences[place] for place in places) for places in folded]
    assert sums == sorted(sums, reverse=True)
    for places in folded:
        together = {frozenset(group) for group in groups if set(group) & set(places)}
        assert len(together) <= 1
        assert len(places) == 1 or set(places) <= set(next(iter(together)))
    for group in groups:
        assert sum(bool(set(group) & set(places)) for places in folded) <= 1


def test_without_groups_nothing_changes() -> None:
    assert fold([7, 3, 9], [0.4, 0.4, 0.1], []) == [(0,), (1,), (2,)]


def test_a_group_is_as_sure_as_its_members_together() -> None:
    # 0.30 stands against 0.25 + 0.20: the group is likelier, and goes first.
    assert fold([7, 3, 9], [0.3, 0.25, 0.2], [(3, 9, 11)]) == [(1, 2), (0,)]
