"""Boxes from files into the catalogue and back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from satchel.annotate.class_map import ClassMap
from satchel.annotate.formats import FORMATS
from satchel.annotate.matching import check_proportions
from satchel.annotate.records import AnnotatedPhoto
from satchel.annotate.sources import open_annotations
from satchel.catalog.annotations import BoxSource
from satchel.catalog.products import StoredPhoto
from satchel.errors import UsageError
from satchel.records import Box, LabelledBox, Problem
from satchel.workflows.annotate import AnnotationImport, export_annotations, import_annotations
from satchel.workspace import Workspace
from support.cli import satchel


def box(label: str = "Small Bag", score: float | None = None) -> LabelledBox:
    return LabelledBox(Box(0.1, 0.2, 0.8, 0.9), label, {"material": "paint"}, score)


def annotated(name: str, *boxes: LabelledBox, size: tuple[int, int] = (320, 240)):
    return AnnotatedPhoto(f"photos/{name}.jpg", *size, boxes)


def import_(
    workspace: Workspace, photos: list, folder: Path, **options
) -> tuple[AnnotationImport, list[Problem]]:
    problems: list[Problem] = []
    chosen = {"classes": ClassMap.read(), "origin": "a.json", **options}
    done = import_annotations(
        workspace, photos, photos=folder, on_problem=problems.append, **chosen
    )
    return done, problems


def test_photos_are_known_by_their_bytes_or_their_name(
    shop: Workspace, catalogue_file: Path
) -> None:
    photos = [annotated("disc-1", box()), annotated("disc-2", box("shoe", 0.5))]
    done, problems = import_(shop, photos, catalogue_file.parent, by="Jin")
    assert problems == []
    assert (done.photos, done.boxes) == (2, 2)
    stored = list(shop.catalogue.annotations.current())
    assert [(one.source, one.by, one.boxes[0].label) for one in stored] == [
        (BoxSource.PERSON, "Jin", "Small Bag"),
        (BoxSource.PRE_LABEL, "Jin", "shoe"),
    ]
    named = [AnnotatedPhoto(f"x/{one.photo}.jpg", 640, 480, (box("hat"),)) for one in stored]
    done, problems = import_(shop, named, Path("/nowhere"))
    assert (done.photos, problems) == (2, [])
    assert shop.catalogue.annotations.categories() == {"hat": 2}


def test_a_second_import_changes_nothing(shop: Workspace, catalogue_file: Path) -> None:
    photos = [annotated("disc-1", box()), annotated("disc-2", box(score=0.5))]
    import_(shop, photos, catalogue_file.parent)
    done, _ = import_(shop, photos, catalogue_file.parent)
    assert (done.photos, done.unchanged) == (0, 2)


def test_photos_without_boxes_say_nothing_unless_a_person_checked(
    shop: Workspace, catalogue_file: Path
) -> None:
    photos = [annotated("disc-1"), annotated("disc-2", box(score=0.5))]
    done, _ = import_(shop, photos, catalogue_file.parent)
    assert (done.photos, done.unlabelled) == (1, 1)
    done, _ = import_(shop, photos, catalogue_file.parent, checked=True)
    assert (done.photos, done.unlabelled) == (2, 0)
    store = shop.catalogue.annotations
    assert [(len(one.boxes), one.source) for one in store.current()] == [
        (0, BoxSource.PERSON),
        (1, BoxSource.PERSON),
    ]
    assert all(b.score is None for one in store.current() for b in one.boxes)


def test_a_photo_whose_only_box_is_bad_is_not_one_without_a_product(
    shop: Workspace, catalogue_file: Path
) -> None:
    path = catalogue_file.parent / "a.json"
    FORMATS["coco"].write([annotated("disc-1", box("bag"))], path, ["bag"])
    path.write_text(path.read_text().replace('"bbox": [', '"bbox": [1e9, '))
    with open_annotations(path) as source:
        done, problems = import_(shop, list(source.read()), source.folder, checked=True)
    assert (len(problems), done.photos, done.unlabelled) == (1, 0, 0)
    assert shop.catalogue.annotations.count() == 0


def test_a_person_who_drew_one_box_has_seen_the_others(
    shop: Workspace, catalogue_file: Path
) -> None:
    import_(shop, [annotated("disc-1", box("a", 0.9), box("b"))], catalogue_file.parent)
    (found,) = shop.catalogue.annotations.current()
    assert found.source is BoxSource.PERSON
    assert [one.score for one in found.boxes] == [None, None]


def test_classes_are_renamed_and_left_out(shop: Workspace, catalogue_file: Path) -> None:
    classes = ClassMap.read(None, ["small bag=bag", "person="])
    photos = [annotated("disc-1", box(), box("person")), annotated("disc-2", box("person", 0.5))]
    done, _ = import_(shop, photos, catalogue_file.parent, classes=classes)
    assert (done.photos, done.boxes, done.left_out) == (1, 1, 2)
    assert shop.catalogue.annotations.categories() == {"bag": 1}


def test_photos_that_do_not_fit_are_reported_and_the_others_stored(
    shop: Workspace, catalogue_file: Path, tmp_path: Path
) -> None:
    folder = catalogue_file.parent
    Image.new("RGB", (320, 240)).save(folder / "photos" / "stranger.jpg")
    (folder / "photos" / "empty.jpg").write_bytes(b"")
    photos = [
        annotated("stranger", box()),
        annotated("empty", box()),
        annotated("nothing", box()),
        annotated("../../secret", box()),
        annotated("disc-1", box(), size=(240, 320)),
        annotated("disc-1", box(), size=(320, 320)),
        AnnotatedPhoto("a" * 64 + ".jpg", 320, 240, (box(),)),
        annotated("disc-1", box(), size=(640, 480)),
    ]
    done, problems = import_(shop, photos, folder)
    assert (done.photos, done.problems) == (1, 7)
    expected = [
        "photos/stranger.jpg: it is not in the catalogue",
        "photos/empty.jpg: it is not in the catalogue",
        "photos/nothing.jpg: no such photo in",
        "photos/../../secret.jpg: no such photo in",
        "without turning it by its EXIF orientation",
        "they are of another photo",
        "a photo of another catalogue",
    ]
    for problem, part in zip(problems, expected, strict=True):
        assert part in str(problem)
    rows = list(csv.reader(done.report.read_text("utf-8-sig").splitlines()))
    assert rows[0] == ["photo", "line", "reason"]
    assert len(rows) == 8


@pytest.mark.parametrize("size", [(3000, 2000), (300, 200), (301, 200), (10, 7), (None, None)])
def test_other_sizes_of_the_same_proportions_fit(size: tuple[int | None, int | None]) -> None:
    check_proportions(AnnotatedPhoto("a.jpg", *size, ()), StoredPhoto(1, "", 1500, 1000))


@pytest.mark.parametrize("name", FORMATS)
def test_exports_are_imported_elsewhere(
    name: str, shop: Workspace, catalogue_file: Path, tmp_path: Path
) -> None:
    photos = [annotated("disc-1", box("bag")), annotated("box-2", box("shoe"), box("bag"))]
    import_(shop, photos, catalogue_file.parent)
    before = list(shop.catalogue.annotations.current())
    done = export_annotations(shop, tmp_path / "out.zip", name, photos=tmp_path / "photos")
    assert (done.photos, done.categories, done.problems) == (2, {"bag": 2, "shoe": 1}, ())
    assert sorted(file.stem for file in (tmp_path / "photos").iterdir()) == sorted(
        one.photo for one in before
    )
    with open_annotations(tmp_path / "out.zip") as source:
        done_again, problems = import_(shop, list(source.read()), tmp_path)
    assert problems == []
    if name != "yolo":  # which has no attributes
        assert (done_again.photos, done_again.unchanged) == (0, 2)


def test_only_the_boxes_of_people_are_exported(
    shop: Workspace, catalogue_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no boxes to export"):
        export_annotations(shop, tmp_path / "a.json", "coco")
    photos = [annotated("disc-1", box("mine")), annotated("disc-2", box("guess", 0.5))]
    import_(shop, photos, catalogue_file.parent)
    export_annotations(shop, tmp_path / "a.json", "coco", source=BoxSource.PERSON)
    written = json.loads((tmp_path / "a.json").read_text())
    assert [one["name"] for one in written["categories"]] == ["mine"]
    assert len(written["images"]) == len(written["annotations"]) == 1


# -- the command line -----------------------------------------------------------------------------


def test_import_and_export_by_command(
    shop: Workspace, catalogue_file: Path, tmp_path: Path
) -> None:
    path = catalogue_file.parent / "a.json"
    photos = [annotated("disc-1", box()), annotated("disc-2"), annotated("gone", box())]
    FORMATS["coco"].write(photos, path, ["Small Bag"])
    arguments = ("annotate", "import", str(path), "--map", "small bag=bag")
    done = satchel(shop.folder, *arguments)
    assert done.returncode == 1
    assert "photos/gone.jpg: no such photo in" in done.stderr
    assert "1 boxes on 1 photos stored; 0 photos had theirs already; 1 boxes or" in done.stderr
    assert "1 photos without boxes passed over" in done.stderr
    assert "what was refused, with reasons:" in done.stderr
    done = satchel(shop.folder, "annotate", "export", str(tmp_path / "out.json"))
    assert (done.returncode, "1 photos written" in done.stderr) == (0, True)
    assert "boxes: bag 1" in done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["categories"][0]["name"] == "bag"


def test_wrong_usage(shop: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    for arguments, part in (
        (("import", str(tmp_path / "nothing")), "found nothing; check the path"),
        (("import", str(path)), "expected annotations (.json, .xml"),
        (("import", str(path), "--format", "xls"), "expected one of coco, yolo"),
        (("import", str(path), "--photos", str(tmp_path / "no")), "expected a folder of photos"),
        (("import", str(path), "--map", "x"), "expected a class and the name"),
        (("export", str(tmp_path / "out")), "expected --format, one of coco"),
        (("export", str(tmp_path / "a.xml"), "--format", "coco"), "expected a .json or .zip file"),
        (("export", str(tmp_path / "a.json"), "--only", "me"), "expected person or pre_label"),
        (("export", str(tmp_path / "a.json")), "no boxes to export"),
    ):
        done = satchel(shop.folder, "annotate", *arguments)
        assert (done.returncode, part in done.stderr) == (2, True), done.stderr
