"""Decisions on candidates and photos are taken back alike: the last one in force is what counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from satchel.catalog.database import writing
from satchel.catalog.store import Catalogue
from satchel.collect.deciding import CandidateReview
from satchel.collect.recording import record
from satchel.collect.records import CandidateChoice, Found
from satchel.collect.store import CandidateStore
from satchel.collect.tables import CandidateRow
from satchel.fetch.rules import FetchRules
from support.databases import new_catalogue

CHOICES = st.sampled_from(["accept", "reject"])


def catalogue_of(folder: Path) -> Catalogue:
    """A catalogue with four candidates of a product, of which the first two brought a photo."""
    catalogue = new_catalogue(folder / "satchel.db")
    with catalogue.writing() as writer:
        product = writer.add_product("A", {})
        for letter in "ab":
            photo = writer.add_photo(letter * 64, 100, 100, 1_000)
            writer.add_source(letter * 64, photo)
            writer.link(product, photo, {}, {})
    found = [Found("A", f"https://a.example.com/{name}.jpg", 1) for name in "abcd"]
    store = CandidateStore(catalogue.engine)
    record(found, "one", catalogue, store, rules=FetchRules(), on_problem=print)
    with writing(catalogue.engine) as connection:
        for number, letter in enumerate("ab", 1):
            brought = {"state": "stored", "sha256": letter * 64}
            row = update(CandidateRow).where(CandidateRow.id == number)
            connection.execute(row.values(brought))
        connection.commit()
    return catalogue


def seen(review: CandidateReview) -> dict[int, tuple[str, str | None]]:
    """What holds: state of the photo or the candidate, and who decided on the candidate."""
    return {
        one.id: (one.photo.state if one.photo else one.state.value, one.decided_by)
        for one in review.of_product("A", limit=10)
    }


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(CHOICES, st.sets(st.integers(1, 4), min_size=1)), min_size=1, max_size=6),
    st.data(),
)
def test_undoing_in_any_order_leaves_the_last_decision_in_force(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[CandidateChoice, set[int]]],
    data: st.DataObject,
) -> None:
    catalogue = catalogue_of(tmp_path_factory.mktemp("db"))
    review = CandidateReview(catalogue)
    first = seen(review)
    assert [state for state, _ in first.values()] == ["kept", "kept", "waiting", "waiting"]
    standing: dict[int, tuple[CandidateChoice, set[int], list[int]]] = {}

    def expected() -> dict[int, tuple[str, str | None]]:
        """The naive way: all decisions in force, made again from the beginning."""
        now = dict(first)
        for number, (choice, ids, _) in sorted(standing.items()):
            for one in ids:
                photo = one <= 2
                states = ("kept", "dropped") if photo else ("waiting", "rejected")
                by = None if photo else f"person {number}"
                now[one] = (states[choice == "reject"], by)
        return now

    for number, (choice, ids) in enumerate(made):
        decisions = review.decide(choice, ids, by=f"person {number}")
        standing[number] = (choice, ids, decisions)
        assert seen(review) == expected()
    on_photos = {one.id: (one.by, one.at) for one in catalogue.review.history()}
    for number in data.draw(st.permutations(list(standing))):
        _, _, decisions = standing.pop(number)
        review.undo(decisions, by=f"undoer {number}")
        assert seen(review) == expected()
        for one in catalogue.review.history():
            assert (one.by, one.at) == on_photos[one.id]  # who and when stay
            if one.id in decisions:
                assert one.undone_by == f"undoer {number}"
    assert seen(review) == first
    catalogue.close()
