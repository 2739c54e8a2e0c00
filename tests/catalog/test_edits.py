"""Edits of the catalogue: what they change, and that undoing restores exactly what was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from satchel.catalog.change_log import TABLES
from satchel.catalog.database import writing
from satchel.catalog.decisions import Choice
from satchel.catalog.edits import CatalogueEdits
from satchel.catalog.lookalike_groups import GroupState, Proposal
from satchel.catalog.store import Catalogue
from satchel.catalog.tables import FeedbackRow
from satchel.errors import CatalogueError, EditConflict, SatchelError, UsageError

CODES = ("A", "B", "C", "D")


def sha(number: int) -> str:
    return f"{number:064x}"[::-1]


def filled(path: Path) -> Catalogue:
    """Four products: A with photos 0 to 2, B with 2 and 3, C with 4, D with none."""
    catalogue = Catalogue.open(path, create=True)
    photos: dict[str, tuple[int, ...]] = {"A": (0, 1, 2), "B": (2, 3), "C": (4,), "D": ()}
    with catalogue.writing() as writer:
        for code, numbers in photos.items():
            brand = {"brand": "Atelier"} if code != "B" else {}
            product = writer.add_product(code, {"name": f"Model {code}", **brand})
            for number in numbers:
                photo = writer.add_photo(sha(number), 10, 20, 100)
                attributes = {
                    "material": "leather" if code == "A" else "linen",
                    "view": f"{number}",
                }
                writer.link(product, photo, {"role": "front"}, attributes)
    catalogue.look_alikes.propose(
        [Proposal((1, 2), 0.9, (None, None)), Proposal((1, 3), 0.9, (sha(0), None))]
    )
    catalogue.look_alikes.decide(Choice.CONFIRM_GROUP, 2)
    catalogue.review.decide(Choice.DROP, [1])
    catalogue.review.decide(Choice.KEEP, [3])
    return catalogue


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "a.db"
    filled(path).close()
    return path


@pytest.fixture
def catalogue(template: Path, tmp_path: Path) -> Catalogue:
    return Catalogue.open(Path(shutil.copy(template, tmp_path)))


def rows(catalogue: Catalogue) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that edits change."""
    with catalogue._engine.connect() as connection:
        return {
            name: sorted(
                (dict(row._mapping) for row in connection.execute(select(table.__table__))),
                key=repr,
            )
            for name, table in TABLES.items()
        }


def attributes(catalogue: Catalogue, code: str) -> list[dict[str, str]]:
    return [dict(photo.attributes) for photo in catalogue.photos_of(code)]


# -- each edit ------------------------------------------------------------------------------------


def test_columns_of_a_product_are_set_and_removed(catalogue: Catalogue) -> None:
    done = catalogue.edits.edit(
        "A", {"brand": "Prada", "name": "", "Material": " suède ", "licence": "CC-BY"}, by="Jin"
    )
    product = catalogue.product("A")
    assert (product.brand, product.name) == ("Prada", None)
    assert product.attributes["material"] == "suède"
    assert {photo.license for photo in catalogue.photos_of("A")} == {"CC-BY"}
    assert done.kind is Choice.EDIT
    assert (done.codes, done.by) == (("A",), "Jin")
    assert done.values == {
        "brand": ("Atelier", "Prada"),
        "name": ("Model A", None),
        "material": ("leather", "suède"),
        "license": (None, "CC-BY"),
    }


def test_columns_of_one_photo(catalogue: Catalogue) -> None:
    catalogue.edits.edit("A", {"view": "back", "role": ""}, photo=sha(1)[:8])
    assert [one["view"] for one in attributes(catalogue, "A")] == ["0", "back", "2"]
    assert [photo.role for photo in catalogue.photos_of("A")] == ["front", None, "front"]
    assert attributes(catalogue, "B")[0]["view"] == "2"


@pytest.mark.parametrize(
    ("code", "values", "photo", "error", "message"),
    [
        ("X", {"brand": "Prada"}, None, CatalogueError, "no product has the code 'X'"),
        ("A", {}, None, UsageError, "at least one column"),
        ("A", {"code": "B"}, None, UsageError, "rename"),
        ("A", {"photo": "x.jpg"}, None, UsageError, "not set like a column"),
        ("A", {"": "x"}, None, UsageError, "name of a column"),
        ("A", {"brand": "a\0b"}, None, UsageError, "control character"),
        ("A", {"brand": "x" * 4_001}, None, UsageError, "longer than"),
        ("A", {"brand": "Atelier"}, None, UsageError, "these values already"),
        ("A", {"brand": "Prada"}, sha(1), UsageError, "kept with the product"),
        ("A", {"view": "x"}, sha(3), CatalogueError, "has no photo"),
        ("A", {"view": "x"}, "000", UsageError, "6 or more digits"),
        ("A", {"view": "x"}, "x" * 9, CatalogueError, "has no photo"),
        ("D", {"material": "silk"}, None, UsageError, "D has no photo"),
    ],
)
def test_what_cannot_be_edited_is_refused_and_nothing_changes(
    catalogue: Catalogue,
    code: str,
    values: dict[str, str],
    photo: str | None,
    error: type[Exception],
    message: str,
) -> None:
    before = rows(catalogue)
    with pytest.raises(error, match=message):
        catalogue.edits.edit(code, values, photo=photo)
    assert rows(catalogue) == before
    assert catalogue.edits.history() == []


def test_renaming_takes_feedback_along(catalogue: Catalogue) -> None:
    said(catalogue, "A")
    catalogue.edits.rename("A", "  A-1 ")
    assert catalogue.product("A-1").name == "Model A"
    assert [row["code"] for row in rows(catalogue)["feedback"]] == ["A-1"]
    with pytest.raises(CatalogueError):
        catalogue.product("A")
    with pytest.raises(EditConflict, match="'B' is taken"):
        catalogue.edits.rename("A-1", "B")
    with pytest.raises(UsageError, match="printable"):
        catalogue.edits.rename("A-1", "\x1b[2J")


def test_merging_keeps_the_other_products_values_and_moves_the_rest(catalogue: Catalogue) -> None:
    said(catalogue, "A")
    catalogue.edits.merge("A", "B")
    product = catalogue.product("B")
    assert (product.brand, product.name) == ("Atelier", "Model B")  # the gap is filled
    photos = {photo.sha256: photo for photo in catalogue.photos_of("B")}
    assert set(photos) == {sha(0), sha(1), sha(2), sha(3)}
    assert product.attributes["material"] == "linen"  # its own, also for the photos of A
    assert photos[sha(0)].attributes["view"] == "0"
    assert photos[sha(0)].state == "dropped"  # a person's decision goes along
    assert [row["code"] for row in rows(catalogue)["feedback"]] == ["B"]
    # A looked like C, which B does now; the group of A and B has lost its point.
    assert catalogue.look_alikes.confirmed_of("B") == (2, 3)
    assert catalogue.look_alikes.of_products([3], [GroupState.CONFIRMED]) == [(2, 3)]
    with pytest.raises(UsageError, match="twice"):
        catalogue.edits.merge("B", "B")


def test_a_deleted_product_is_gone_everywhere(catalogue: Catalogue) -> None:
    revision = catalogue.revision()
    done = catalogue.edits.delete_product("A")
    assert done.photos == (sha(0), sha(1), sha(2))
    assert catalogue.revision() > revision  # the index is built anew
    assert "A" not in catalogue.ids_of_codes()
    assert catalogue.existing([1, 2, 3]) == {2, 3}
    assert not catalogue.has_photo(sha(0))
    assert catalogue.has_photo(sha(2))  # B shows it too
    assert catalogue.look_alikes.confirmed_of("C") == ()
    assert [number for number, _ in catalogue.vectors.missing("e")] == [3, 4, 5]
    assert [number for number, *_ in catalogue.curation.unmeasured()] == [3, 4, 5]
    assert catalogue.facets.read().counts(None)[0].values[0].products == 2  # Atelier: C and D


def test_groups_of_look_alikes_that_lose_a_product_do_not_hide_the_others(
    catalogue: Catalogue,
) -> None:
    store = catalogue.look_alikes
    store.propose([Proposal((1, 2), 0.9, (None, None)), Proposal((3, 4), 0.9, (None, None))])
    deleted = catalogue.edits.delete_product("B")
    (group,) = store.in_state(GroupState.PROPOSED, limit=1)
    assert (group.codes, store.count(GroupState.PROPOSED)) == (("C", "D"), 1)
    catalogue.edits.undo(deleted.id)
    assert store.count(GroupState.PROPOSED) == 2


def test_a_deleted_photo_is_gone_from_its_product_alone(catalogue: Catalogue) -> None:
    catalogue.edits.delete_photos("A", [sha(2)])
    assert [photo.sha256 for photo in catalogue.photos_of("A")] == [sha(0), sha(1)]
    assert [photo.sha256 for photo in catalogue.photos_of("B")] == [sha(2), sha(3)]
    catalogue.edits.delete_photos("B", [sha(2)])
    assert not catalogue.has_photo(sha(2))


def test_ids_of_deleted_products_are_not_given_again(catalogue: Catalogue) -> None:
    """An index that is not rebuilt yet would name the new product for the old one's photos."""
    catalogue.edits.delete_product("D")
    with catalogue.writing() as writer:
        assert writer.add_product("E", {}) == 5


# -- undoing --------------------------------------------------------------------------------------


def test_undoing_in_the_wrong_order_is_refused_by_name(catalogue: Catalogue) -> None:
    first = catalogue.edits.edit("A", {"brand": "One"})
    second = catalogue.edits.edit("A", {"brand": "Two", "size": "S"})
    with pytest.raises(EditConflict, match=f"decision {second.id} changed the same since"):
        catalogue.edits.undo(first.id)
    catalogue.edits.undo(second.id, by="Ana")
    assert catalogue.edits.undo(first.id).undone
    assert catalogue.product("A").brand == "Atelier"
    with pytest.raises(CatalogueError, match="no edit"):
        catalogue.edits.undo(first.id)
    with pytest.raises(CatalogueError, match="no edit"):
        catalogue.edits.undo(999)


def test_edits_of_different_things_are_undone_in_any_order(catalogue: Catalogue) -> None:
    before = rows(catalogue)
    renamed = catalogue.edits.rename("A", "A-1")
    photo = catalogue.edits.edit("A-1", {"view": "x"}, photo=sha(0))
    catalogue.edits.edit("A-1", {"brand": "Prada"})
    catalogue.edits.undo(renamed.id)
    assert catalogue.product("A").brand == "Prada"
    catalogue.edits.undo(photo.id)
    catalogue.edits.undo(catalogue.edits.history(limit=1)[0].id)
    assert rows(catalogue) == before


def test_a_product_does_not_come_back_under_a_code_that_is_taken(catalogue: Catalogue) -> None:
    deleted = catalogue.edits.delete_product("A")
    renamed = catalogue.edits.rename("C", "A")
    with pytest.raises(EditConflict, match="another product has the code 'A'"):
        catalogue.edits.undo(deleted.id)
    catalogue.edits.undo(renamed.id)
    catalogue.edits.undo(deleted.id)
    assert catalogue.product("A").name == "Model A"


def test_a_code_that_another_product_had_in_between_comes_back_after_that_one(
    catalogue: Catalogue,
) -> None:
    """B would find its code A taken, and nothing could be undone any more."""
    before = rows(catalogue)
    merged = catalogue.edits.merge("A", "D")
    renamed = catalogue.edits.rename("B", "A")
    edited = catalogue.edits.edit("A", {"brand": "x"})
    deleted = catalogue.edits.delete_product("A")
    with pytest.raises(EditConflict, match=f"decision {deleted.id} took the code 'A' away"):
        catalogue.edits.undo(merged.id)
    for edit in (deleted, edited, renamed, merged):
        catalogue.edits.undo(edit.id)
    assert rows(catalogue) == before


def test_a_value_that_came_back_by_later_edits_is_not_taken_for_the_edits_own(
    catalogue: Catalogue,
) -> None:
    first, second, third = (catalogue.edits.rename(*codes).id for codes in ("CX", "XY", "YX"))
    with pytest.raises(EditConflict, match=f"decision {third} changed the same since"):
        catalogue.edits.undo(first)
    for number in (third, second, first):
        catalogue.edits.undo(number)
    assert catalogue.product("C").name == "Model C"


def test_feedback_that_a_later_edit_took_along_holds_an_edit(catalogue: Catalogue) -> None:
    said(catalogue, "A")
    before = rows(catalogue)
    merged, renamed = catalogue.edits.merge("A", "C"), catalogue.edits.rename("C", "E")
    with pytest.raises(EditConflict, match=f"decision {renamed.id} changed the same since"):
        catalogue.edits.undo(merged.id)
    catalogue.edits.undo(renamed.id)
    catalogue.edits.undo(merged.id)
    assert rows(catalogue) == before


def test_a_photo_that_came_again_in_between_comes_back_after_that_one(
    catalogue: Catalogue,
) -> None:
    before = rows(catalogue)
    first = catalogue.edits.delete_photos("A", [sha(2)])
    merged = catalogue.edits.merge("B", "A")
    second = catalogue.edits.delete_photos("A", [sha(2)])
    with pytest.raises(EditConflict, match=f"decision {second.id} took the same photo"):
        catalogue.edits.undo(first.id)
    for edit in (second, merged, first):
        catalogue.edits.undo(edit.id)
    assert rows(catalogue) == before


def test_a_photo_does_not_come_back_to_a_product_that_is_gone(catalogue: Catalogue) -> None:
    photo = catalogue.edits.delete_photos("A", [sha(0)])
    product = catalogue.edits.delete_product("A")
    with pytest.raises(EditConflict, match=f"decision {product.id} deleted it since"):
        catalogue.edits.undo(photo.id)


def test_reviews_and_edits_do_not_get_in_each_others_way(catalogue: Catalogue) -> None:
    """A photo that was moved, edited there, and moved back: nothing is left to restore."""
    moved = catalogue.review.decide(Choice.MOVE, [2], code="C")
    edited = catalogue.edits.edit("C", {"view": "x"}, photo=sha(1))
    catalogue.review.undo(moved.id)
    catalogue.edits.undo(edited.id)
    assert [photo.sha256 for photo in catalogue.photos_of("C")] == [sha(4)]


def test_history_names_what_was_edited(catalogue: Catalogue) -> None:
    catalogue.edits.rename("A", "A-1", by="Jin", why="new season")
    catalogue.edits.merge("B", "C")
    assert [one.codes for one in catalogue.edits.history()] == [("B", "C"), ("A", "A-1")]
    (one,) = catalogue.edits.history(code="A-1")
    assert (one.kind, one.by, one.why, one.undone) == (Choice.RENAME, "Jin", "new season", False)
    assert catalogue.edits.history(limit=1)[0].kind is Choice.MERGE


CODE = st.sampled_from([*CODES, "E"])
PHOTO = st.integers(0, 4).map(sha)
VALUE = st.sampled_from(["", "x", "y"])
COLUMN = st.sampled_from(["brand", "size", "role", "license", "material", "view"])
STEP = st.one_of(
    st.tuples(st.just("edit"), CODE, st.dictionaries(COLUMN, VALUE, min_size=1, max_size=3)),
    st.tuples(
        st.just("edit_photo"), CODE, st.dictionaries(COLUMN, VALUE, min_size=1, max_size=2), PHOTO
    ),
    st.tuples(st.just("rename"), CODE, CODE),
    st.tuples(st.just("merge"), CODE, CODE),
    st.tuples(st.just("delete_product"), CODE),
    st.tuples(st.just("delete_photos"), CODE, st.lists(PHOTO, min_size=1, max_size=2)),
)


def make(edits: CatalogueEdits, step: Any) -> int:
    match step:
        case "edit_photo", code, values, photo:
            return edits.edit(code, values, photo=photo).id
        case name, *arguments:
            return int(getattr(edits, name)(*arguments).id)
    raise AssertionError


@given(steps=st.lists(STEP, max_size=10), data=st.data())
@settings(max_examples=40, deadline=None)
def test_undoing_all_edits_leads_back_to_the_start(
    template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[Any],
    data: st.DataObject,
) -> None:
    """In whatever order: an edit that a later one is in the way of says so and changes nothing."""
    catalogue = Catalogue.open(Path(shutil.copy(template, tmp_path_factory.mktemp("walk"))))
    said(catalogue, "A")
    start, made = rows(catalogue), []
    for step in steps:
        before = rows(catalogue)
        try:
            made.append(make(catalogue.edits, step))
        except SatchelError:
            assert rows(catalogue) == before
    for number in data.draw(st.permutations(made)):
        before = rows(catalogue)
        try:
            catalogue.edits.undo(number)
        except EditConflict:
            assert rows(catalogue) == before
        else:
            made.remove(number)
    for number in reversed(made):  # the last one can always be undone
        catalogue.edits.undo(number)
    assert rows(catalogue) == start
    catalogue.close()


def said(catalogue: Catalogue, code: str) -> None:
    with writing(catalogue._engine) as connection:
        connection.execute(
            insert(FeedbackRow).values(
                answer=code,
                code=code,
                encoder="e",
                verdict="uncertain",
                in_catalogue=0.5,
                candidates=[],
                filter={},
            )
        )
        connection.commit()
