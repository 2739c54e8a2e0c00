from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from conftest import jpeg
from satchel.catalog.importers import CatalogueRow, open_rows
from satchel.errors import RowError, UsageError


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg("disc"))
    return path


def rows(path: Path, text: str | bytes) -> list[CatalogueRow | RowError]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(open_rows(path).rows())


def test_csv_columns_go_where_they_belong(photo: Path) -> None:
    text = "Code, Brand ,color,role,strap,photo\nM1,Atelier,red,studio,chain,a.jpg\n"
    assert rows(photo.parent / "c.csv", text) == [
        CatalogueRow(
            2,
            "M1",
            photo.resolve(),
            {"brand": "Atelier", "colour": "red"},
            {"role": "studio"},
            {"strap": "chain"},
        )
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_delimiters(photo: Path, delimiter: str) -> None:
    lines = [["code", "photo", "name"], ["M1", "a.jpg", "One"]]
    (row,) = rows(photo.parent / "c.csv", "\n".join(delimiter.join(line) for line in lines))
    assert isinstance(row, CatalogueRow)
    assert row.product == {"name": "One"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_korean_text_in_the_encodings_that_excel_writes(photo: Path, encoding: str) -> None:
    text = "code,name,photo\nM1,모노그램 숄더백,a.jpg\n"
    (row,) = rows(photo.parent / "c.csv", text.encode(encoding))
    assert isinstance(row, CatalogueRow)
    assert row.product["name"] == "모노그램 숄더백"


def test_jsonl(photo: Path) -> None:
    lines = [
        json.dumps({"code": "M1", "photo": "a.jpg", "year": 1998, "tags": ["a", "b"], "x": None}),
        "",
        "{broken",
        "[1]",
    ]
    found = rows(photo.parent / "c.jsonl", "\n".join(lines))
    assert isinstance(found[0], CatalogueRow)
    assert found[0].attributes == {"year": "1998", "tags": '["a", "b"]'}
    assert [(type(row), row.line) for row in found[1:]] == [(RowError, 3), (RowError, 4)]


def test_folder_per_code(tmp_path: Path) -> None:
    for name in (
        "M2/b.jpg",
        "M2/more/c.JPG",
        "M1/a.png",
        "M1/notes.txt",
        ".git/x.jpg",
        "M1/._a.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    source = open_rows(tmp_path)
    found = [(row.code, row.photo.name) for row in source.rows() if isinstance(row, CatalogueRow)]
    assert found == [("M1", "a.png"), ("M2", "b.jpg"), ("M2", "c.JPG")]
    assert source.total == 3
    assert source.notes == ("passed over, by their names no photos: .txt (1)",)


def test_what_a_folder_has_besides_photos_of_codes_is_told(tmp_path: Path) -> None:
    (tmp_path / "M1").mkdir()
    for name in ("loose.jpg", "list.txt", "M1/a.jpg", "M1/b.GIF", "M1/c.gif", "M1/Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    loose, others = open_rows(tmp_path).notes
    assert loose.startswith("passed over, photos beside the folders, which have no code (1)")
    assert others == "passed over, by their names no photos: .gif (2)"


def test_korean_folder_names_from_macos_are_composed(tmp_path: Path) -> None:
    folder = tmp_path / unicodedata.normalize("NFD", "가방")
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    (row,) = open_rows(tmp_path).rows()
    assert isinstance(row, CatalogueRow)
    assert row.code == unicodedata.normalize("NFC", "가방")
    assert row.photo.is_file()


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (",a.jpg,x", "code", "is missing"),
        ("M1,,x", "photo", "is missing"),
        ("M1,nothing.jpg,x", "photo", "no such file"),
        ("M1,../a.jpg,x", "photo", "lies outside"),
        ("M1,/etc/passwd,x", "photo", "lies outside"),
        ("M1,https://a.example/a.jpg,x", "photo", "is an address"),
        ("M1,a\0.jpg,x", "photo", "is not a usable path"),
        ("M1,a.jpg", "row", "expected 3 cells as in the header, got 2"),
        ("M1,a.jpg,x,y", "row", "expected 3 cells as in the header, got 4"),
        (f"{'M' * 201},a.jpg,x", "code", "longer than 200"),
        ("M\x07,a.jpg,x", "code", "cannot be printed"),
    ],
)
def test_bad_rows_are_named_and_good_ones_stay(
    photo: Path, line: str, column: str, reason: str
) -> None:
    found = rows(photo.parent / "c.csv", f"code,photo,name\nM0,a.jpg,x\n{line}\nM9,a.jpg,x\n")
    assert [getattr(row, "code", None) for row in found] == ["M0", None, "M9"]
    error = found[1]
    assert isinstance(error, RowError)
    assert (error.line, error.column) == (3, column)
    assert reason in error.reason


def test_a_link_out_of_the_folder_is_refused(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(photo)
    (row,) = rows(folder / "c.csv", "code,photo\nM1,link.jpg\n")
    assert isinstance(row, RowError)
    assert "lies outside" in row.reason


def test_photos_folder_can_be_named(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "c.csv").write_text("code,photo\nM1,a.jpg\n")
    (row,) = open_rows(folder / "c.csv", photos=photo.parent).rows()
    assert isinstance(row, CatalogueRow)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "brand,photo\nx,a.jpg\n", "found brand, photo; add code"),
        ("c.csv", "", "found nothing"),
        ("c.csv", "code,photo,code\n", "stands twice"),
        ("c.xlsx", "code,photo\n", "save the table as CSV"),
        ("c.csv", b"code,photo\nM1,\xff\xff\xff.jpg\n", "UTF-8"),
    ],
)
def test_files_that_are_no_catalogue(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        rows(tmp_path / name, text)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="check the path"):
        open_rows(tmp_path / "nothing.csv")
