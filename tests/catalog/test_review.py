"""People's decisions: kept, taken back, and never in each other's way."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.decisions import Choice, Subject
from satchel.catalog.review import PhotoReview
from satchel.catalog.store import Catalogue
from satchel.errors import CatalogueError
from support.databases import new_catalogue


def catalogue_of(folder: Path, links: dict[str, list[str]]) -> Catalogue:
    """A catalogue with these photos (by letter) under these codes."""
    catalogue = new_catalogue(folder / "satchel.db")
    with catalogue.writing() as writer:
        for code, letters in links.items():
            product = writer.add_product(code, {})
            for letter in letters:
                photo = writer.add_photo(letter * 64, 100, 100, 1_000)
                writer.link(product, photo, {}, {})
    return catalogue


def state_of(review: PhotoReview) -> dict[str, tuple[str, tuple[dict, ...]]]:
    return {
        f"{photo.code}/{photo.sha256[0]}": (photo.state, photo.reasons)
        for state in ("kept", "doubtful", "dropped")
        for photo in review.in_state(state, limit=100)
    }


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return catalogue_of(tmp_path, {"A": ["a", "b"], "B": ["b", "c"]})


def by_name(review: PhotoReview) -> dict[str, int]:
    return {f"{p.code}/{p.sha256[0]}": p.link_id for p in review.in_state("kept", limit=100)}


def test_dropping_and_undoing_lead_back(catalogue: Catalogue) -> None:
    review = catalogue.review
    before, revision = state_of(review), catalogue.revision()
    made = review.decide(Choice.DROP, [by_name(review)["A/a"]], by="Kim", why="a label")
    assert state_of(review)["A/a"] == ("dropped", ({"kind": "decided", "choice": "drop"},))
    assert catalogue.revision() > revision  # the index is out of date
    assert review.history() == [made]
    assert (made.kind, made.by, made.why, made.undone) == (Choice.DROP, "Kim", "a label", False)
    assert made.subjects == (Subject("A", "a" * 64, "dropped"),)
    undone = review.undo(made.id, by="Lee")
    assert state_of(review) == before
    assert review.history() == [undone]
    assert review.history(standing=True) == []
    assert (undone.by, undone.at, undone.undone_by) == ("Kim", made.at, "Lee")
    assert undone.undone_at is not None
    with pytest.raises(CatalogueError, match="no decision"):
        review.undo(made.id)


def test_moving_drops_here_and_keeps_there(catalogue: Catalogue) -> None:
    review = catalogue.review
    before, names = state_of(review), by_name(review)
    action = review.decide(Choice.MOVE, [names["A/a"]], code="B").id
    after = state_of(review)
    assert after["A/a"] == ("dropped", ({"kind": "decided", "choice": "move", "code": "B"},))
    assert after["B/a"][0] == "kept"
    review.undo(action)
    assert state_of(review) == before


def test_moving_to_a_code_that_has_the_photo_makes_nothing(catalogue: Catalogue) -> None:
    review = catalogue.review
    before, names = state_of(review), by_name(review)
    action = review.decide(Choice.MOVE, [names["A/b"]], code="B").id
    assert len(state_of(review)) == len(before)
    review.undo(action)
    assert state_of(review) == before


@pytest.mark.parametrize(
    ("code", "complaint"), [("A", "belongs to 'A' already"), ("Z", "no product has the code 'Z'")]
)
def test_a_move_that_cannot_be_changes_nothing(
    catalogue: Catalogue, code: str, complaint: str
) -> None:
    review = catalogue.review
    before = state_of(review)
    with pytest.raises(CatalogueError, match=complaint):
        review.decide(Choice.MOVE, [by_name(review)["A/a"]], code=code)
    with pytest.raises(CatalogueError, match="no photo 999"):
        review.decide(Choice.DROP, [by_name(review)["A/a"], 999])
    assert state_of(review) == before
    assert review.history() == []


def test_photos_in_question_by_reason(catalogue: Catalogue) -> None:
    review, curation = catalogue.review, catalogue.curation
    names = by_name(review)
    curation.set_states(
        [
            (names["A/a"], "doubtful", [{"kind": "blurred"}, {"kind": "collage"}]),
            (names["A/b"], "doubtful", [{"kind": "collage"}]),
        ]
    )
    found = review.in_state("doubtful", kind="blurred", limit=9)
    assert [photo.link_id for photo in found] == [names["A/a"]]
    assert len(review.in_state("doubtful", kind="collage", limit=9)) == 2
    assert review.in_state("doubtful", after=names["A/b"]) == []
    assert (review.count("doubtful"), review.count("kept")) == (2, 2)
    assert [p.code for p in review.by_sha256(["b" * 64])] == ["A", "B"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["keep", "drop", "move A", "move B"]), st.integers(0, 3)),
        max_size=6,
    ),
    st.randoms(),
)
def test_undoing_everything_in_any_order_leads_back(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, int]], order: object
) -> None:
    folder = tmp_path_factory.mktemp("db")
    catalogue = catalogue_of(folder, {"A": ["a", "b"], "B": ["b", "c"]})
    review = catalogue.review
    before, links = state_of(review), sorted(by_name(review).values())
    actions = []
    for what, which in done:
        if what.startswith("move"):
            code = what[-1]
            if review.photo(links[which]).code != code:
                actions.append(review.decide(Choice.MOVE, [links[which]], code=code).id)
        else:
            actions.append(review.decide(Choice(what), [links[which]]).id)
    order.shuffle(actions)  # type: ignore[attr-defined]
    for action in actions:
        review.undo(action)
    assert state_of(review) == before
    catalogue.close()


def test_the_first_kept_photo_is_the_cover(catalogue: Catalogue) -> None:
    review = catalogue.review
    review.decide(Choice.DROP, [by_name(review)["A/a"]])
    page = catalogue.products().products
    assert [(p.code, cover) for p, cover in page] == [("A", "b" * 64), ("B", "b" * 64)]
