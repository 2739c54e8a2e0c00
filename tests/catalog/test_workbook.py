"""Excel workbooks, good ones and those that attack a reader."""

from __future__ import annotations

import contextlib
import datetime
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from satchel.catalog import workbook, workbook_survey
from satchel.catalog.importers import open_rows
from satchel.catalog.rows import CatalogueRow, RowProblem
from satchel.errors import UsageError
from support.workbooks import replace_part, row_xml, save, sheet_xml

SHEET = "xl/worksheets/sheet1.xml"
HEADER = ("code", "photo", "name")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"x")
    return tmp_path


def test_values_are_read_as_a_person_sees_them(folder: Path) -> None:
    path = save(
        folder / "c.xlsx",
        {
            "상품": [
                ("2026 봄 상품",),
                (),
                ("품번", "사진", "가격(원)", "사이즈", "입고일", "정품", "비고"),
                (40712, "a.jpg", 1250000.0, 30.5, datetime.date(2026, 3, 1), True, "=1/0"),
                (),
                ("M2", "a.jpg", None, "", datetime.datetime(2026, 3, 1, 9, 30)),
            ]
        },
    )
    source = open_rows(path)
    first, second = source.rows()
    assert isinstance(first, CatalogueRow)
    assert isinstance(second, CatalogueRow)
    assert (first.line, first.code, first.product) == (4, "40712", {"size": "30.5"})
    assert first.attributes == {"price": "1250000", "입고일": "2026-03-01", "정품": "TRUE"}
    assert (second.line, second.attributes) == (6, {"입고일": "2026-03-01 09:30:00"})
    assert second.empty == {"price", "size", "정품", "비고"}


def test_the_first_sheet_with_the_columns_is_read_or_the_named_one(folder: Path) -> None:
    path = save(
        folder / "c.xlsx",
        {
            "안내": [("읽어 주세요",)],
            "가방": [HEADER, ("B1", "a.jpg", "x")],
            "지갑": [HEADER, ("W1", "a.jpg", "x")],
        },
    )
    source = open_rows(path)
    (row,) = source.rows()
    assert isinstance(row, CatalogueRow)
    assert row.code == "B1"
    assert source.notes == ("read the sheet '가방'; for 지갑, import again with --sheet NAME",)
    (row,) = open_rows(path, sheet=" 지갑").rows()
    assert isinstance(row, CatalogueRow)
    assert row.code == "W1"
    with pytest.raises(UsageError, match="it has '안내', '가방', '지갑'"):
        open_rows(path, sheet="신발")
    with pytest.raises(UsageError, match="sheet 안내, found 읽어 주세요; add code and photo"):
        open_rows(path, sheet="안내")
    (folder / "c.csv").write_text("code,photo\n")
    with pytest.raises(UsageError, match="expected an Excel workbook for --sheet"):
        open_rows(folder / "c.csv", sheet="가방")


def test_merged_cells_count_for_each_of_their_rows(folder: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    for row in (
        ("상품 목록", None, None, None),
        ("브랜드", "품번", "사진", "비고"),
        ("디올", "M1", "a.jpg", "앞"),
        (None, None, "a.jpg", "뒤"),
        (None, "M2", "a.jpg", None),
        (None, None, None, None),
        ("구찌", "G1", "a.jpg", None),
        (None, None, "a.jpg", None),
    ):
        sheet.append(row)
    for cells in ("A1:D1", "A3:A6", "B3:B4"):
        sheet.merge_cells(cells)
    book.save(folder / "c.xlsx")
    *rows, last = open_rows(folder / "c.xlsx").rows()
    assert [
        (row.code, row.product.get("brand")) for row in rows if isinstance(row, CatalogueRow)
    ] == [("M1", "디올"), ("M1", "디올"), ("M2", "디올"), ("G1", "구찌")]
    assert isinstance(last, RowProblem)  # not merged: its code is missing
    assert (last.line, last.column) == (8, "code")


def test_pictures_inside_are_counted_and_a_wrong_suffix_does_no_harm(folder: Path) -> None:
    path = save(folder / "c.xlsx", {"S": [HEADER, ("B1", "a.jpg", "x")]})
    replace_part(path, "xl/media/image1.png", b"picture")
    source = open_rows(path.rename(folder / "c.csv"))
    assert "1 pictures inside the workbook are not read" in source.notes[0]
    assert len(list(source.rows())) == 1


def test_rows_before_a_broken_one_are_taken(folder: Path) -> None:
    good = row_xml(1, *HEADER) + row_xml(2, "B1", "a.jpg", "x")
    path = save(folder / "c.xlsx", {"S": [HEADER]})
    replace_part(path, SHEET, sheet_xml(f'{good}<row r="3"><c t="s"><v>999</v></c></row>'))
    row, problem = open_rows(path).rows()
    assert isinstance(row, CatalogueRow)
    assert isinstance(problem, RowProblem)
    assert (problem.line, problem.column) == (3, "row")
    assert "nor can the rows after it" in problem.reason


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("c.xlsx", b"", "is no usable Excel workbook"),
        ("c.xlsx", b"PK\x03\x04 and no zip", "is no usable Excel workbook"),
        ("c.xls", workbook.OLE + b"\0" * 600, "old Excel file, or has a password"),
        ("c.xlsx", workbook.OLE + b"\0" * 600, "old Excel file, or has a password"),
        ("c.xls", b"<html><table><tr><td>code</table>", "a web page; open it in Excel"),
        ("c.csv", b"\xef\xbb\xbf <!DOCTYPE html>", "a web page; open it in Excel"),
        ("c.ods", b"x", "a file with the suffix .ods; save the table as .xlsx or CSV UTF-8"),
    ],
)
def test_what_is_no_workbook(folder: Path, name: str, data: bytes, message: str) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        open_rows(folder / name)


def test_a_damaged_workbook_is_refused_or_read_at_every_byte(folder: Path) -> None:
    whole = save(folder / "c.xlsx", {"S": [HEADER, ("B1", "a.jpg", "x")]}).read_bytes()
    path = folder / "cut.xlsx"
    for at in range(0, len(whole), 97):
        for data in (whole[:at], whole[:at] + bytes((whole[at] ^ 0xFF,)) + whole[at + 1 :]):
            path.write_bytes(data)
            with contextlib.suppress(UsageError):  # nothing else may be raised
                list(open_rows(path).rows())


def test_a_zip_without_a_sheet(folder: Path) -> None:
    with zipfile.ZipFile(folder / "c.xlsx", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(UsageError, match="is no usable Excel workbook"):
        open_rows(folder / "c.xlsx")


# -- attacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "part"),
    [
        ("MAX_SHEET_BYTES", SHEET),
        ("MAX_STRINGS_BYTES", "xl/sharedStrings.xml"),
        ("MAX_PART_BYTES", "xl/styles.xml"),
    ],
)
def test_zip_bombs_are_refused_before_they_are_unpacked(
    folder: Path, limit: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_survey, limit, 2_000_000)
    path = save(folder / "c.xlsx", {"S": [HEADER]})
    replace_part(path, part, b" " * 3_000_000)
    assert path.stat().st_size < 20_000
    with pytest.raises(UsageError, match="unpacks to 3,000,000 bytes, more than 2,000,000"):
        open_rows(path)


def test_a_row_without_end_is_refused(folder: Path) -> None:
    path = save(folder / "c.xlsx", {"S": [HEADER]})
    replace_part(path, SHEET, sheet_xml('<row r="1">' + "<c/>" * 2_100_000 + "</row>"))
    with pytest.raises(UsageError, match="has more than 8,000,000 bytes"):
        open_rows(path)


def test_rows_are_counted_wherever_they_are_cut(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = row_xml(1, *HEADER) + "".join(row_xml(n, f"B{n}", "a.jpg", "x") for n in range(2, 40))
    path = save(folder / "c.xlsx", {"S": [HEADER]})
    replace_part(path, SHEET, sheet_xml(rows))
    for size in (1, 2, 3, 7, 50, 1_000):
        monkeypatch.setattr(workbook_survey, "CHUNK_BYTES", size)
        assert open_rows(path).total == 38


def test_row_numbers_beyond_all_sheets_end_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", 50)
    far = row_xml(1, *HEADER) + row_xml(10**12, "B1", "a.jpg", "x")
    path = save(folder / "c.xlsx", {"S": [HEADER]})
    replace_part(path, SHEET, sheet_xml(far))
    (problem,) = open_rows(path).rows()
    assert isinstance(problem, RowProblem)
    many = "".join(row_xml(n, f"B{n}", "a.jpg", "x") for n in range(2, 60))
    replace_part(path, SHEET, sheet_xml(row_xml(1, *HEADER) + many))
    *good, last = open_rows(path).rows()
    assert len(good) == 49
    assert isinstance(last, RowProblem)
    assert "only 50 rows of a sheet are read" in last.reason


def test_entities_do_not_expand(folder: Path) -> None:
    bomb = "".join(
        f'<!ENTITY e{n} "{"".join([f"&e{n - 1};"] * 10) if n else "boom" * 10}">' for n in range(9)
    )
    path = save(folder / "c.xlsx", {"S": [HEADER]})
    rows = row_xml(1, *HEADER) + row_xml(2, "B1", "a.jpg", "&e8;")
    replace_part(path, SHEET, sheet_xml(rows, f"<!DOCTYPE worksheet [{bomb}]>"))
    try:
        found = list(open_rows(path).rows())
    except UsageError:
        return
    assert not any(isinstance(row, CatalogueRow) for row in found)


@pytest.mark.slow
def test_twenty_thousand_rows_in_bounded_memory(folder: Path) -> None:
    """Peak memory of 20,000 rows is within 40 MB of that of 200."""
    peaks = []
    for rows in (200, 20_000):
        path = folder / f"{rows}.xlsx"
        save(path, {"S": [HEADER, *((f"M{n}", "a.jpg", f"가방 {n}") for n in range(rows))]})
        code = (
            "import resource, sys\nfrom pathlib import Path\n"
            "from satchel.catalog.importers import open_rows\n"
            "count = sum(1 for _ in open_rows(Path(sys.argv[1])).rows())\n"
            "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
        )
        count, peak = map(int, done.stdout.split())
        assert count == rows
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 40
