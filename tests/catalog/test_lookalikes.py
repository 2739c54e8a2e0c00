"""Groups of look-alikes in the database: proposed anew, decided once, undone in any order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.lookalikes import Decided, GroupState, LookAlikeStore, Proposal
from satchel.catalog.store import Catalogue
from satchel.errors import CatalogueError, UsageError

CODES = "ABCDEFGH"
PROPOSED, CONFIRMED, REJECTED = GroupState


def proposal(*products: int, likeness: float = 0.97) -> Proposal:
    return Proposal(products, likeness, tuple(f"{product}" * 64 for product in products))


def filled(folder: Path) -> Catalogue:
    """Products A to H, whose ids are 1 to 8."""
    catalogue = Catalogue.open(folder / "satchel.db", create=True)
    with catalogue.writing() as writer:
        assert [writer.add_product(code, {}) for code in CODES] == list(range(1, 9))
    return catalogue


@pytest.fixture
def store(tmp_path: Path) -> LookAlikeStore:
    return filled(tmp_path).look_alikes()


def numbers(store: LookAlikeStore, state: GroupState) -> dict[str, int]:
    return {"".join(group.codes): group.number for group in store.in_state(state)}


def test_proposals_replace_those_before_and_keep_their_numbers(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2), proposal(3, 4, 5)])
    before = numbers(store, PROPOSED)
    assert set(before) == {"AB", "CDE"}
    store.propose([proposal(3, 4, 5), proposal(6, 7)])
    after = numbers(store, PROPOSED)
    assert set(after) == {"CDE", "FG"}
    assert after["CDE"] == before["CDE"]
    assert after["FG"] not in before.values()  # a page that is open still means the old group
    group = store.group(after["CDE"])
    assert (group.likeness, group.photos) == (0.97, ("3" * 64, "4" * 64, "5" * 64))
    assert store.count(PROPOSED) == 2


def test_a_decision_is_never_overruled(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2), proposal(3, 4)])
    store.confirm(numbers(store, PROPOSED)["AB"], by="Kim")
    store.reject(numbers(store, PROPOSED)["CD"], by="Lee")
    assert store.decided() == Decided(((1, 2),), frozenset({(3, 4)}))
    store.propose([proposal(1, 2), proposal(3, 4), proposal(3, 4, 5), proposal(1, 2, 6)])
    assert set(numbers(store, PROPOSED)) == {"ABF"}  # more than was confirmed may be proposed
    assert set(numbers(store, CONFIRMED)) == {"AB"}
    assert [(group.codes, group.by) for group in store.decisions()] == [
        (("C", "D"), "Lee"),
        (("A", "B"), "Kim"),
    ]


def test_a_part_is_confirmed_and_the_rest_is_different(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2, 3)])
    whole = numbers(store, PROPOSED)["ABC"]
    part = store.confirm(whole, ["A", "C"])
    assert store.decided() == Decided(((1, 3),), frozenset({(1, 2), (2, 3)}))
    assert store.group(part).photos == ("1" * 64, "3" * 64)
    assert numbers(store, REJECTED) == {}  # it was not rejected as a whole
    assert store.count(REJECTED) == 0
    assert [group.codes for group in store.decisions()] == [("A", "C")]
    assert store.undo(part) == whole
    assert numbers(store, PROPOSED) == {"ABC": whole}
    assert store.decided() == Decided()


def test_a_group_that_took_another_in_gives_it_back(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2)])
    store.confirm(numbers(store, PROPOSED)["AB"])
    store.propose([proposal(1, 2, 3)])
    larger = numbers(store, PROPOSED)["ABC"]
    with pytest.raises(UsageError, match="stand in a confirmed group"):
        store.confirm(larger, ["B", "C"])  # it would tear A and B apart
    store.confirm(larger)
    assert store.decided().same == ((1, 2, 3),)
    assert store.of_products([2], [CONFIRMED]) == [(1, 2, 3)]
    store.undo(larger)
    assert store.decided().same == ((1, 2),)
    store.reject(larger)
    assert store.decided() == Decided(((1, 2),), frozenset({(1, 3), (2, 3)}))


def test_groups_of_products(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2), proposal(3, 4, 5), proposal(6, 7)])
    store.confirm(numbers(store, PROPOSED)["CDE"])
    assert store.of_products([4, 5, 1, 8], [CONFIRMED]) == [(3, 4, 5)]
    assert store.of_products([4, 5, 1, 8], [CONFIRMED, PROPOSED]) == [(3, 4, 5), (1, 2)]
    assert store.of_products([8], [CONFIRMED, PROPOSED]) == []
    assert store.of_products([], [CONFIRMED]) == []
    assert store.confirmed_of("D") == (3, 4, 5)
    assert store.confirmed_of("A") == ()
    assert store.confirmed_of("?") == ()


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [(["A"], "two or more of A, B, C"), ([], "got none"), (["A", "H"], "got A, H")],
)
def test_codes_that_make_no_group(store: LookAlikeStore, codes: list[str], complaint: str) -> None:
    store.propose([proposal(1, 2, 3)])
    number = numbers(store, PROPOSED)["ABC"]
    with pytest.raises(UsageError, match=complaint):
        store.confirm(number, codes)
    assert numbers(store, PROPOSED) == {"ABC": number}


def test_what_cannot_be_decided(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2)])
    number = numbers(store, PROPOSED)["AB"]
    with pytest.raises(CatalogueError, match="no group 99"):
        store.confirm(99)
    with pytest.raises(CatalogueError, match="no decision on group"):
        store.undo(number)
    store.confirm(number)
    with pytest.raises(UsageError, match="confirmed already"):
        store.reject(number)


TEMPLATE: list[bytes] = []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["confirm", "reject", "part"]), min_size=3, max_size=3),
    st.randoms(),
)
def test_undoing_everything_in_any_order_leads_back(
    tmp_path_factory: pytest.TempPathFactory, done: list[str], order: object
) -> None:
    folder = tmp_path_factory.mktemp("db")
    if not TEMPLATE:  # migrating once is enough
        filled(folder).close()
        TEMPLATE.append((folder / "satchel.db").read_bytes())
    (folder / "satchel.db").write_bytes(TEMPLATE[0])
    catalogue = Catalogue.open(folder / "satchel.db")
    store = catalogue.look_alikes()
    store.propose([proposal(1, 2, 3), proposal(4, 5, 6), proposal(7, 8)])
    before = numbers(store, PROPOSED)
    decided = []
    for (codes, number), what in zip(before.items(), done, strict=True):
        if what == "reject":
            store.reject(number)
            decided.append(number)
        else:
            decided.append(store.confirm(number, codes[:2] if what == "part" else None))
    assert numbers(store, PROPOSED) == {}
    order.shuffle(decided)  # type: ignore[attr-defined]
    for number in decided:
        store.undo(number)
    assert numbers(store, PROPOSED) == before
    assert store.decided() == Decided()
    catalogue.close()
