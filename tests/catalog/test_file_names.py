"""File names as zip files of other systems leave them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from satchel.catalog.file_names import as_text, readings
from satchel.catalog.importers import open_rows
from satchel.catalog.rows import CatalogueRow


def raw(name: str, encoding: str) -> str:
    """The name that the system shows for these bytes."""
    return os.fsdecode(name.encode(encoding))


def misread(name: str, page: str, encoding: str = "cp949") -> str:
    return name.encode(encoding).decode(page)


MANGLED = [
    lambda name: raw(name, "cp949"),
    lambda name: misread(name, "cp437"),
    lambda name: misread(name, "cp850"),
    lambda name: misread(name, "latin-1"),
    lambda name: misread(unicodedata.normalize("NFD", name), "cp437", "utf-8"),  # from macOS
    lambda name: unicodedata.normalize("NFD", name),
]


@pytest.mark.parametrize("mangle", MANGLED)
def test_a_name_in_the_table_finds_its_mangled_file(tmp_path: Path, mangle: object) -> None:
    assert callable(mangle)
    file = tmp_path / mangle("사진") / (mangle("정면 클로즈업") + ".jpg")
    file.parent.mkdir()
    file.write_bytes(b"x")
    (tmp_path / "c.csv").write_text("품번,사진\nM1,사진/정면 클로즈업.jpg\n", encoding="utf-8")
    (row,) = open_rows(tmp_path / "c.csv").rows()
    assert isinstance(row, CatalogueRow), row
    assert row.photo == file.resolve()


@pytest.mark.parametrize("mangle", [MANGLED[0], MANGLED[1], MANGLED[4], MANGLED[5]])
def test_a_mangled_folder_gives_its_code(tmp_path: Path, mangle: object) -> None:
    assert callable(mangle)
    (tmp_path / mangle("가방-12")).mkdir()
    (tmp_path / mangle("가방-12") / "a.jpg").write_bytes(b"x")
    (row,) = open_rows(tmp_path).rows()
    assert isinstance(row, CatalogueRow)
    assert row.code == "가방-12"


@pytest.mark.parametrize("name", ["Café", "Größe 36", "M40712", "가방", "Ärmel", "½", "日本", "ÀÉ"])
def test_plain_names_stay(name: str) -> None:
    assert as_text(name) == name
    assert next(readings(name)) == name


def test_case_matters_only_where_both_are_there(tmp_path: Path) -> None:
    for name in ("A.JPG", "b.jpg", "B.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "c.csv").write_text("code,photo\nM1,a.jpg\nM2,b.jpg\nM3,B.jpg\n")
    read = [row.photo.name for row in open_rows(tmp_path / "c.csv").rows() if hasattr(row, "photo")]
    assert read == ["A.JPG", "b.jpg", "B.jpg"]
