"""Opening files, folders and archives; class maps; finding photos."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from annotate.photos import LABELS, one_photo
from satchel.annotate.archive import ArchiveLimits, unpacked
from satchel.annotate.class_map import ClassMap
from satchel.annotate.formats import FORMATS
from satchel.annotate.photo_finder import PhotoFinder
from satchel.annotate.records import AnnotatedPhoto
from satchel.annotate.sources import open_annotations
from satchel.errors import UsageError


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def zip_of(folder: Path, path: Path) -> Path:
    files = (file for file in folder.rglob("*") if file.is_file())
    return packed(path, {file.relative_to(folder).as_posix(): file.read_bytes() for file in files})


@pytest.mark.parametrize("name", FORMATS)
def test_archives_are_read_like_what_is_in_them(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    path = folder / f"a{FORMATS[name].suffix}" if FORMATS[name].suffix else folder
    folder.mkdir()
    FORMATS[name].write([one_photo("a.jpg", 3)], path, LABELS)
    (folder / "photo.jpg").write_bytes(b"pixels")
    (folder / "run.exe").write_bytes(b"MZ")
    archive = zip_of(folder, tmp_path / "a.zip")
    with open_annotations(archive) as source:
        (photo,) = source.read()
        assert (source.folder / "photo.jpg").read_bytes() == b"pixels"
        assert not (source.folder / "run.exe").exists()
        inside = source.folder
    assert isinstance(photo, AnnotatedPhoto)
    assert len(photo.boxes) == 3
    assert not inside.exists()


@pytest.mark.parametrize("name", ["../a.json", "/tmp/a.json", "a/../../b.json", "C:\\a.json"])
def test_archives_that_lead_out(name: str, tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"ok.json": b"[]", name: b"[]"})
    with pytest.raises(UsageError, match="leads out of the archive"), unpacked(archive):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_archives_with_links(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("a.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UsageError, match="a link or a device"), unpacked(tmp_path / "a.zip"):
        pass


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ArchiveLimits(members=2), "at most 2 files"),
        (ArchiveLimits(member_bytes=99_000), "unpacks to more than 99,000 bytes"),
        (ArchiveLimits(bytes=150_000), "unpacks to more than 50,000 bytes"),
        (ArchiveLimits(ratio=20), "unpacks to more than"),
    ],
)
def test_archives_that_grow(limits: ArchiveLimits, reason: str, tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {f"{name}.json": b" " * 100_000 for name in "abc"})
    with unpacked(archive):
        pass
    with pytest.raises(UsageError, match=reason), unpacked(archive, limits):
        pass


def test_damaged_and_encrypted_archives(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"a.json": bytes(range(256)) * 50})
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UsageError, match="damaged zip"), unpacked(path):
        pass
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(UsageError, match="damaged zip"), unpacked(path):
        pass
    packed(path, {"a.json": b"[]"})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 8
    data[at] |= 1  # the flag that a member is encrypted, in the directory
    path.write_bytes(data)
    with pytest.raises(UsageError, match="is encrypted"), unpacked(path):
        pass


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    def refuse(path: Path, reason: str, name: str | None = None) -> None:
        with pytest.raises(UsageError, match=reason), open_annotations(path, name):
            pass

    refuse(tmp_path / "nothing", "found nothing")
    refuse(tmp_path, "expected annotations in")
    refuse(tmp_path, "expected Pascal VOC XML in", "voc")
    refuse(tmp_path, "expected one of coco, yolo", "xls")
    (tmp_path / "a.csv").write_text("x")
    refuse(tmp_path / "a.csv", r"expected annotations .*, got a.csv")
    (tmp_path / "a.json").write_text("[]")
    (tmp_path / "a.names").write_text("bag")
    refuse(tmp_path, "found label-studio, yolo")
    with open_annotations(tmp_path, "yolo") as source:
        assert source.parts == (("yolo", tmp_path),)


def test_several_files_of_one_format(tmp_path: Path) -> None:
    for name in "ab":
        FORMATS["coco"].write([one_photo(f"{name}.jpg")], tmp_path / f"{name}.json", LABELS)
    with open_annotations(tmp_path) as source:
        assert [one.path for one in source.read() if isinstance(one, AnnotatedPhoto)] == [
            "a.jpg",
            "b.jpg",
        ]


# -- class maps -----------------------------------------------------------------------------------


def test_class_maps(tmp_path: Path) -> None:
    file = tmp_path / "classes.toml"
    file.write_text('bag = ["Bag", "Small Bag"]\n"Shoe (left)" = "shoe"\nperson = ""\n')
    classes = ClassMap.read(file, ["Backpack=bag", "a=b=c", "small bag=small leather good"])
    assert [classes(name) for name in (" bag ", "SMALL BAG", "Ｂackpack", "Shoe (left)")] == [
        "bag",
        "small leather good",
        "bag",
        "shoe",
    ]
    assert classes("Person") is None
    assert classes("hat") == "hat"
    assert classes("a=b") == "c"


@pytest.mark.parametrize(
    ("text", "pair", "reason"),
    [
        ("", "bag", "a class and the name"),
        ("", "=bag", "a class and the name"),
        ("x = 3", "a=b", 'x: expected "x" = "name"'),
        ("x = ", "a=b", "not valid TOML"),
        (f'a = "{"x" * 201}"', "a=b", "at most 200 characters"),
    ],
)
def test_bad_class_maps(text: str, pair: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "classes.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=reason):
        ClassMap.read(file, [pair])
    with pytest.raises(UsageError, match="cannot be read"):
        ClassMap.read(tmp_path / "nothing.toml")


# -- photos ---------------------------------------------------------------------------------------


def test_photos_are_found_and_never_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a.jpg", "images/b.jpg", "x/c.jpg", "x/d.jpg", "y/d.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (tmp_path / "secret.jpg").write_bytes(b"")
    finder = PhotoFinder(root)
    expected = {
        "a.jpg": "a.jpg",
        "b.jpg": "images/b.jpg",
        "/home/x/c.jpg": "x/c.jpg",  # the only one of that name
        "y/d.jpg": "y/d.jpg",
        "z/d.jpg": None,  # one of two
        "../secret.jpg": None,
        str(tmp_path / "secret.jpg"): None,
        "a\0.jpg": None,
    }
    for written, found in expected.items():
        assert finder.find(written) == (None if found is None else root / found)
