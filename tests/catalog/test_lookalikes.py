"""Groups of look-alikes in the database: proposed anew, decided once, undone in any order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.decisions import Choice, Decision
from satchel.catalog.lookalike_groups import Decided, GroupState, Proposal
from satchel.catalog.lookalikes import LookAlikeStore
from satchel.catalog.store import Catalogue
from satchel.errors import CatalogueError, UsageError
from support.databases import new_catalogue

CODES = "ABCDEFGH"
PROPOSED, CONFIRMED, REJECTED = GroupState


def proposal(*products: int, likeness: float = 0.97) -> Proposal:
    return Proposal(products, likeness, tuple(f"{product}" * 64 for product in products))


def filled(folder: Path) -> Catalogue:
    """Products A to H, whose ids are 1 to 8."""
    catalogue = new_catalogue(folder / "satchel.db")
    with catalogue.writing() as writer:
        assert [writer.add_product(code, {}) for code in CODES] == list(range(1, 9))
    return catalogue


@pytest.fixture
def store(tmp_path: Path) -> LookAlikeStore:
    return filled(tmp_path).look_alikes


def confirm(
    store: LookAlikeStore, number: int, codes: list[str] | None = None, by: str | None = None
) -> Decision:
    return store.decide(Choice.CONFIRM_GROUP, number, codes, by=by)


def reject(store: LookAlikeStore, number: int, by: str | None = None) -> Decision:
    return store.decide(Choice.REJECT_GROUP, number, by=by)


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
    confirm(store, numbers(store, PROPOSED)["AB"], by="Kim")
    reject(store, numbers(store, PROPOSED)["CD"], by="Lee")
    assert store.decided() == Decided(((1, 2),), frozenset({(3, 4)}))
    store.propose([proposal(1, 2), proposal(3, 4), proposal(3, 4, 5), proposal(1, 2, 6)])
    assert set(numbers(store, PROPOSED)) == {"ABF"}  # more than was confirmed may be proposed
    assert set(numbers(store, CONFIRMED)) == {"AB"}
    assert [(codes_of(decision), decision.by) for decision in store.history()] == [
        ("CD", "Lee"),
        ("AB", "Kim"),
    ]
    assert [(group.by, group.at is None) for group in store.in_state(CONFIRMED)] == [("Kim", False)]


def test_an_undone_decision_stays_as_history(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2)])
    number = numbers(store, PROPOSED)["AB"]
    made = confirm(store, number, by="Kim")
    undone = store.undo(store.decision_on(number), by="Lee")
    assert store.history() == [undone]
    assert store.history(standing=True) == []
    assert (undone.id, undone.by, undone.at) == (made.id, "Kim", made.at)
    assert (undone.undone_by, undone.undone_at is None) == ("Lee", False)
    assert (store.group(number).by, store.group(number).at) == (None, None)
    again = reject(store, number)
    store.propose([])
    assert [d.id for d in store.history()] == [again.id, made.id]
    store.undo(again.id)
    store.propose([])  # the group is proposed no more
    assert [(codes_of(d), d.group) for d in store.history()] == [("AB", None), ("AB", None)]


def codes_of(decision: Decision) -> str:
    return "".join(subject.code for subject in decision.subjects)


def test_a_part_is_confirmed_and_the_rest_is_different(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2, 3)])
    whole = numbers(store, PROPOSED)["ABC"]
    decision = confirm(store, whole, ["A", "C"])
    part = decision.group
    assert part is not None
    assert store.decided() == Decided(((1, 3),), frozenset({(1, 2), (2, 3)}))
    assert store.group(part).photos == ("1" * 64, "3" * 64)
    assert numbers(store, REJECTED) == {}  # it was not rejected as a whole
    assert store.count(REJECTED) == 0
    assert [codes_of(one) for one in store.history()] == ["AC"]
    assert store.undo(decision.id).group == whole
    assert [codes_of(one) for one in store.history()] == ["AC"]
    assert numbers(store, PROPOSED) == {"ABC": whole}
    assert store.decided() == Decided()


def test_a_group_that_took_another_in_gives_it_back(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2)])
    confirm(store, numbers(store, PROPOSED)["AB"])
    store.propose([proposal(1, 2, 3)])
    larger = numbers(store, PROPOSED)["ABC"]
    with pytest.raises(UsageError, match="are in a confirmed group already"):
        confirm(store, larger, ["B", "C"])  # it would tear A and B apart
    confirm(store, larger)
    assert store.decided().same == ((1, 2, 3),)
    assert store.of_products([2], [CONFIRMED]) == [(1, 2, 3)]
    store.undo(store.decision_on(larger))
    assert store.decided().same == ((1, 2),)
    reject(store, larger)
    assert store.decided() == Decided(((1, 2),), frozenset({(1, 3), (2, 3)}))


def test_groups_of_products(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2), proposal(3, 4, 5), proposal(6, 7)])
    confirm(store, numbers(store, PROPOSED)["CDE"])
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
        confirm(store, number, codes)
    assert numbers(store, PROPOSED) == {"ABC": number}


def test_what_cannot_be_decided(store: LookAlikeStore) -> None:
    store.propose([proposal(1, 2)])
    number = numbers(store, PROPOSED)["AB"]
    with pytest.raises(CatalogueError, match="no group 99"):
        confirm(store, 99)
    with pytest.raises(CatalogueError, match="no decision on group"):
        store.decision_on(number)
    confirm(store, number)
    with pytest.raises(UsageError, match="confirmed already"):
        reject(store, number)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["confirm", "reject", "part"]), min_size=3, max_size=3),
    st.randoms(),
)
def test_undoing_everything_in_any_order_leads_back(
    tmp_path_factory: pytest.TempPathFactory, done: list[str], order: object
) -> None:
    folder = tmp_path_factory.mktemp("db")
    catalogue = filled(folder)
    store = catalogue.look_alikes
    store.propose([proposal(1, 2, 3), proposal(4, 5, 6), proposal(7, 8)])
    before = numbers(store, PROPOSED)
    decided = []
    for (codes, number), what in zip(before.items(), done, strict=True):
        if what == "reject":
            decided.append(reject(store, number).id)
        else:
            part = list(codes[:2]) if what == "part" else None
            decided.append(confirm(store, number, part).id)
    assert numbers(store, PROPOSED) == {}
    order.shuffle(decided)  # type: ignore[attr-defined]
    for decision in decided:
        store.undo(decision)
    assert numbers(store, PROPOSED) == before
    assert store.decided() == Decided()
    catalogue.close()
