"""What is written is read again: photos, boxes to a pixel, classes, attributes, scores."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.photos import LABELS, annotated_photos, one_photo
from satchel.annotate.formats import FORMATS
from satchel.annotate.records import AnnotatedPhoto
from satchel.annotate.sources import open_annotations
from satchel.errors import UsageError

WITHOUT_SIZE = ("yolo", "label-studio")  # of a photo: label studio says it with a box


def written(name: str, photos: list[AnnotatedPhoto], folder: Path) -> Path:
    path = folder / f"annotations{FORMATS[name].suffix}"
    FORMATS[name].write(photos, path, LABELS)
    return path


def read(name: str, path: Path) -> list[AnnotatedPhoto]:
    """Photos by path; a problem, which nothing written has, fails."""
    found: list[AnnotatedPhoto] = []
    for one in FORMATS[name].read(path):
        assert isinstance(one, AnnotatedPhoto), one
        found.append(one)
    return sorted(found, key=lambda photo: photo.path)


def same_box(a: AnnotatedPhoto, b: AnnotatedPhoto) -> None:
    scale = np.tile(a.size, 2)
    corners = [np.array([one.box.xyxy for one in photo.boxes]).reshape(-1, 4) for photo in (a, b)]
    np.testing.assert_allclose(corners[0] * scale, corners[1] * scale, atol=1)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_photos_and_boxes_come_back(name: str, data: st.DataObject) -> None:
    photos = data.draw(annotated_photos(attributes=name != "yolo"))
    with tempfile.TemporaryDirectory() as folder:
        path = written(name, photos, Path(folder))
        found = read(name, path)
    expected = sorted(photos, key=lambda photo: photo.path)
    assert [photo.path for photo in found] == [photo.path for photo in expected]
    for before, after in zip(expected, found, strict=True):
        if name not in WITHOUT_SIZE:
            assert after.size == before.size
        same_box(before, after)
        for one, other in zip(before.boxes, after.boxes, strict=True):
            assert other.label == one.label
            assert dict(other.attributes) == dict(one.attributes)
            assert other.score == pytest.approx(one.score, abs=1e-4)


def test_coco_keeps_who_drew_a_box(tmp_path: Path) -> None:
    photo = one_photo()
    by = [type(one)(one.box, one.label, one.attributes, one.score, "Jin") for one in photo.boxes]
    path = written("coco", [AnnotatedPhoto("a.jpg", 640, 480, tuple(by))], tmp_path)
    (found,) = read("coco", path)
    assert [box.who for box in found.boxes] == ["Jin"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_is_recognised(name: str, tmp_path: Path) -> None:
    path = written(name, [one_photo(), one_photo("c.jpg", 0)], tmp_path)
    with open_annotations(path) as source:
        assert [part for part, _ in source.parts] == [name]
        assert len(list(source.read())) == 2


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio"])
def test_a_failed_write_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    path = written(name, [one_photo()], tmp_path)
    before = path.read_bytes()

    def broken():
        yield one_photo()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        FORMATS[name].write(broken(), path, LABELS)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_a_folder_is_written_whole_and_never_mixed(name: str, tmp_path: Path) -> None:
    def broken():
        yield one_photo()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        FORMATS[name].write(broken(), tmp_path / "out", LABELS)
    assert list(tmp_path.iterdir()) == []
    written(name, [one_photo()], tmp_path)
    with pytest.raises(UsageError, match="new or empty folder"):
        written(name, [one_photo()], tmp_path)


@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_no_photo_is_written_outside_the_folder(name: str, tmp_path: Path) -> None:
    for path in ("../out.jpg", "/tmp/out.jpg", "a/../../out.jpg"):
        with pytest.raises(UsageError, match="below the folder"):
            FORMATS[name].write([one_photo(path)], tmp_path / "folder", LABELS)
    assert list(tmp_path.iterdir()) == []
