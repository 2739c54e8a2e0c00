"""`satchel catalog` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import jpeg
from satchel.catalog.annotations import BoxSource, NewLabelling
from satchel.records import Box, LabelledBox
from satchel.workspace import Workspace
from support.cli import satchel


@pytest.fixture
def here(filled: Workspace) -> Path:
    return filled.folder


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def found(here: Path, photo: Path) -> list[str]:
    """The codes that a photo is identified as."""
    (answer,) = lines(satchel(here, "identify", "--json", str(photo)).stdout)
    return [one["code"] for one in answer["candidates"]]


def test_a_product_is_listed_shown_edited_and_what_was_done_is_undone(here: Path) -> None:
    listed = lines(satchel(here, "catalog", "list", "--json").stdout)
    assert [one["code"] for one in listed] == ["M0", "M1", "M2", "M3", "M4"]
    assert listed[0]["photos"] == {"kept": 2}
    assert listed[0]["attributes"] == {"material": "paint"}
    assert "Disc" in satchel(here, "catalog", "list", "disc").stdout

    before = satchel(here, "catalog", "show", "M0", "--json").stdout
    done = satchel(
        here, "catalog", "edit", "M0", "brand=Prada", "material=", "--by", "Jin", "--json"
    )
    (edit,) = lines(done.stdout)
    assert edit["values"] == {
        "brand": {"before": "Atelier", "after": "Prada"},
        "material": {"before": "paint", "after": None},
    }
    shown = json.loads(satchel(here, "catalog", "show", "M0", "--json").stdout)
    assert (shown["brand"], shown["attributes"]) == ("Prada", {})
    assert "Prada" in satchel(here, "facets", "brand").stdout

    photo = shown["photos"][0]["sha256"]
    satchel(here, "catalog", "edit", "M0", "role=front", "--photo", photo[:8])
    assert "front" in satchel(here, "catalog", "show", "M0").stdout
    history = lines(satchel(here, "catalog", "history", "--json").stdout)
    assert [one["decided_by"] for one in history] == [None, "Jin"]
    for one in history:
        assert satchel(here, "catalog", "undo", str(one["decision"])).returncode == 0
    assert satchel(here, "catalog", "show", "M0", "--json").stdout == before
    assert "undone" in satchel(here, "catalog", "history", "M0").stdout


def test_deleting_asks_first_and_identification_follows(here: Path, catalogue_file: Path) -> None:
    photo = catalogue_file.parent / "photos" / "disc-1.jpg"
    assert found(here, photo)[0] == "M0"
    refused = satchel(here, "catalog", "delete", "M0")
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    assert found(here, photo)[0] == "M0"

    done = satchel(here, "catalog", "delete", "M0", "M1", "--yes", "--why", "sold")
    assert "M0 deleted, with 2 photos; to undo it: satchel catalog undo 1" in done.stderr
    assert not {"M0", "M1"} & set(found(here, photo))
    again = satchel(here, "import", str(catalogue_file))
    assert again.returncode == 1
    assert "was deleted by decision 1" in again.stderr
    assert "4 refused" in again.stderr

    satchel(here, "catalog", "undo", "1")
    assert found(here, photo)[0] == "M0"
    satchel(here, "catalog", "undo", "2")
    assert satchel(here, "import", str(catalogue_file)).returncode == 0


def test_taking_out_the_last_photo_says_that_the_product_cannot_be_found(here: Path) -> None:
    photos = json.loads(satchel(here, "catalog", "show", "M2", "--json").stdout)["photos"]
    first, second = (photo["sha256"] for photo in photos)
    done = satchel(here, "catalog", "delete", "M2", "--photo", first, "--yes")
    assert "cannot be found" not in done.stderr
    done = satchel(here, "catalog", "delete", "M2", "--photo", second[:10], "--yes")
    assert "M2 cannot be found any more" in done.stderr
    assert "M2" in satchel(here, "catalog", "list", "--unfindable").stdout
    assert "M2 cannot be found" in satchel(here, "catalog", "show", "M2").stderr
    assert "M2 cannot be found" in satchel(here, "curate").stderr


def test_later_imports_follow_a_new_code(here: Path, catalogue_file: Path) -> None:
    photo = catalogue_file.parent / "photos" / "box-1.jpg"
    assert satchel(here, "catalog", "rename", "M1", "가방 1/A").returncode == 0
    assert found(here, photo)[0] == "가방 1/A"
    satchel(here, "catalog", "merge", "M2", "M3")
    again = satchel(here, "import", str(catalogue_file))
    assert again.returncode == 0, again.stderr
    assert "4 rows of codes that were renamed or merged" in again.stderr
    codes = [one["code"] for one in lines(satchel(here, "catalog", "list", "--json").stdout)]
    assert codes == ["M0", "M3", "M4", "가방 1/A"]
    assert "taken" in satchel(here, "catalog", "rename", "M0", "M3").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "X"), 1, "no product has the code 'X'"),
        (("edit", "M0", "brand"), 2, "expected COLUMN=VALUE"),
        (("edit", "M0", "code=X"), 2, "rename"),
        (("edit", "X", "brand=a"), 1, "no product"),
        (("merge", "M0", "M0"), 2, "twice"),
        (("rename", "M0", " "), 2, "expected a code"),
        (("delete", "M0", "X", "--yes"), 1, "no product has the code 'X'"),
        (("delete", "M0", "M1", "--photo", "abcdef", "--yes"), 2, "one code"),
        (("delete", "M0", "--photo", "abcdef", "--yes"), 1, "has no photo"),
        (("undo", "7"), 1, "no edit 7"),
        (("purge", "abc", "--yes"), 1, "64 digits"),
        (("export", "{tmp}", "--format", "xml"), 2, "csv, jsonl, coco"),
        (("export", "{tmp}", "--format", "coco"), 2, "no boxes"),
    ],
)
def test_wrong_calls_say_what_is_wrong_and_change_nothing(
    here: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    before = satchel(here, "catalog", "list", "--json").stdout
    done = satchel(here, "catalog", *(one.format(tmp=tmp_path / "out") for one in arguments))
    assert done.returncode == code
    assert message in done.stderr
    assert satchel(here, "catalog", "list", "--json").stdout == before


def test_purging_names_what_it_erases(here: Path) -> None:
    satchel(here, "catalog", "delete", "M0", "--yes")
    early = satchel(here, "catalog", "purge", "--yes")
    assert "0 photos erased" in early.stderr  # 30 days have not passed
    refused = satchel(here, "catalog", "purge", "--days", "0")
    assert "erase 2 photos of 1 deletion for good" in refused.stderr
    done = satchel(here, "catalog", "purge", "--days", "0", "--yes", "--json")
    (figures,) = lines(done.stdout)
    assert (len(figures["photos"]), figures["files"]) == (2, 2)
    assert "did not come back" in satchel(here, "catalog", "undo", "1").stderr


# -- export ---------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, Any]:
    """Everything of the products that a catalogue file can hold, photos by their bytes."""
    workspace = Workspace.open(folder)
    shown = {}
    for product, _ in workspace.catalogue.products(limit=100).products:
        photos = [
            (
                workspace.photos.read(one.sha256),
                (one.width, one.height),
                (one.role, one.source, one.license),
                dict(one.attributes),
            )
            for one in workspace.catalogue.photos_of(product.code)
        ]
        shown[product.code] = (product, sorted(photos, key=repr))
    workspace.catalogue.close()
    return shown


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip())
)
VALUES = st.dictionaries(
    st.sampled_from(["brand", "size", "role", "source", "license", "material", "가죽", "note"]),
    st.one_of(TEXT, st.sampled_from(["=1+1", '"', "a,b;c", "two\nlines", "'", "0012", "null"])),
    max_size=5,
)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three products with a photo or two each."""
    source = tmp_path_factory.mktemp("source")
    for code, shapes in {"A": ("disc", "box"), "B": ("cross",), "C": ("ring",)}.items():
        (source / code).mkdir()
        for shape in shapes:
            (source / code / f"{shape}.jpg").write_bytes(jpeg(shape))
    shutil.copy(source / "A" / "box.jpg", source / "B")  # one photo of two products
    folder = tmp_path_factory.mktemp("small") / "workspace"
    Workspace.create(folder).catalogue.close()
    assert satchel(folder, "import", str(source)).returncode == 0
    return folder


@pytest.mark.flow
@given(edits=st.lists(st.tuples(st.sampled_from("ABC"), VALUES, st.booleans()), max_size=4))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("table", ["csv", "jsonl"])
def test_what_is_exported_and_imported_is_the_same(
    small: Path, tmp_path_factory: pytest.TempPathFactory, table: str, edits: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("walk")
    first, second, out = folder / "first", folder / "second", folder / "out"
    shutil.copytree(small, first)
    workspace = Workspace.open(first)
    for code, values, of_photo in edits:
        photo = workspace.catalogue.photos_of(code)[0].sha256 if of_photo else None
        given_ = {k: v for k, v in values.items() if not of_photo or k not in ("brand", "size")}
        if given_:
            try:
                workspace.catalogue.edits.edit(code, given_, photo=photo)
            except Exception as error:
                assert "already" in str(error)  # noqa: PT017 - the one reason there may be
    workspace.catalogue.close()
    assert satchel(first, "catalog", "export", str(out), "--format", table).returncode == 0
    Workspace.create(second).catalogue.close()
    imported = satchel(second, "import", str(out / f"catalogue.{table}"))
    assert imported.returncode == 0, imported.stderr
    assert contents(second) == contents(first)


def test_an_export_overwrites_nothing_and_resumes(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert satchel(here, "catalog", "export", str(out)).returncode == 0
    again = satchel(here, "catalog", "export", str(out))
    assert (again.returncode, "is not overwritten" in again.stderr) == (2, True)
    table = (out / "catalogue.csv").read_bytes()
    (out / "catalogue.csv").unlink()
    next((out / "photos").iterdir()).unlink()
    done = satchel(here, "catalog", "export", str(out))
    assert "10 rows and 10 photos" in done.stderr
    assert (out / "catalogue.csv").read_bytes() == table


def test_an_export_names_what_it_leaves_out(here: Path, tmp_path: Path) -> None:
    workspace = Workspace.open(here)
    workspace.photos.path(workspace.catalogue.photos_of("M0")[0].sha256).unlink()
    for photo in workspace.catalogue.photos_of("M1"):
        workspace.catalogue.edits.delete_photos("M1", [photo.sha256])
    workspace.catalogue.close()
    done = satchel(here, "catalog", "export", str(tmp_path / "out"), "--format", "jsonl")
    assert done.returncode == 1
    assert "7 rows and 7 photos" in done.stderr
    assert "since a row needs a photo: M1" in done.stderr
    assert "of M0" in done.stderr


def test_boxes_are_exported_as_coco(here: Path, tmp_path: Path) -> None:
    workspace = Workspace.open(here)
    photo = workspace.catalogue.photos_of("M0")[0]
    stored = workspace.catalogue.stored_photo(photo.sha256)
    assert stored is not None
    box = LabelledBox(Box(0.1, 0.2, 0.8, 0.9), "bag")
    workspace.catalogue.annotations.put(
        [NewLabelling(stored.id, (box,))], BoxSource.PERSON, origin="test"
    )
    workspace.catalogue.close()
    out = tmp_path / "out"
    assert satchel(here, "catalog", "export", str(out), "--format", "coco").returncode == 0
    written = json.loads((out / "annotations.json").read_text())
    assert len(written["annotations"]) == 1
    (image,) = written["images"]
    assert (out / "photos" / image["file_name"]).is_file()
