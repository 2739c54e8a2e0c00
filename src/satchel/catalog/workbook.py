"""Excel workbooks (XLSX), read as a stream of records by openpyxl.

A workbook is a zip of XML files, and not trusted: their sizes are checked before anything is
parsed, and a sheet's rows are found and measured in its bytes, since a parser holds a whole row.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, time
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from satchel.catalog.csv_records import Record
from satchel.errors import UsageError
from satchel.text import printable

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

WORKBOOK_SUFFIXES: Final = (".xlsx", ".xlsm")
MAX_ROWS: Final = 300_000
"""Rows of a sheet that are read: openpyxl keeps some hundred bytes of each."""
MAX_COLUMNS: Final = 1_000
MAX_SHEETS: Final = 100
MAX_PARTS: Final = 20_000
MAX_PART_BYTES: Final = 8_000_000
"""Unpacked size of each XML file of a workbook, but these:"""
MAX_STRINGS_BYTES: Final = 64_000_000
MAX_SHEET_BYTES: Final = 512_000_000
MAX_ROW_BYTES: Final = 8_000_000
CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 64
AT_ONCE: Final = 200

_ROW: Final = re.compile(rb"<(?:\w+:)?row[\s/>]")
_SHEET: Final = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_STRINGS: Final = re.compile(r"xl/sharedstrings\.xml", re.IGNORECASE)
_XML: Final = re.compile(r".*\.(xml|rels)", re.IGNORECASE)
_PICTURE: Final = re.compile(r"xl/media/.+", re.IGNORECASE)
OLE: Final = b"\xd0\xcf\x11\xe0"
"""First bytes of old Excel files, and of those with a password."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook.

    Attributes:
        rows: how many it has, for a progress bar.
        head: its first records.
    """

    path: Path
    title: str
    rows: int
    head: tuple[Record, ...]

    def records(self) -> Iterator[Record]:
        """Yield a record for each row, blank ones too.

        Rows after one that cannot be read are lost, which the last record's `fault` says.
        """
        with _opened(self.path) as book:
            yield from _records(book[self.title])


@dataclass(frozen=True, slots=True)
class WorkbookSheets:
    """The sheets of a workbook.

    Attributes:
        pictures: embedded in it, which are not read.
    """

    sheets: tuple[Sheet, ...]
    pictures: int


def inspect_workbook(path: Path, head: int) -> WorkbookSheets:
    """Check a workbook's sizes and list its sheets, those that are hidden aside.

    Args:
        head: how many records of each sheet to read.

    Raises:
        UsageError: it is no workbook, is damaged, or exceeds a cap.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) == OLE:
            raise UsageError(
                f"{path.name} is an old Excel file, or has a password; open it in Excel and save "
                "it as .xlsx without a password"
            )
    try:
        return _inspected(path, head)
    except (UsageError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged zip or its parsers raise
        raise _damaged(path, error) from None


def _inspected(path: Path, head: int) -> WorkbookSheets:
    with zipfile.ZipFile(path) as archive:
        rows = _checked(archive, path.name)
        pictures = sum(1 for name in archive.namelist() if _PICTURE.fullmatch(name))
    with _opened(path) as book:
        sheets = tuple(
            Sheet(
                path,
                sheet.title,
                rows.get(str(sheet._worksheet_path).lstrip("/"), 0),  # it has no public name
                tuple(islice(_records(sheet), head)),
            )
            for sheet in book.worksheets[:MAX_SHEETS]
            if sheet.sheet_state == "visible"
        )
    return WorkbookSheets(sheets, pictures)


@contextmanager
def _opened(path: Path) -> Iterator[Workbook]:
    import openpyxl  # noqa: PLC0415 - slow, and only for these files

    with path.open("rb") as file:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features that no reader of values needs
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        with closing(book):
            yield book


def _damaged(path: Path, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UsageError(
        f"{path.name} is no usable Excel workbook ({printable(reason)}); open it in Excel and save "
        "it again as .xlsx, or as CSV UTF-8"
    )


# -- sizes ----------------------------------------------------------------------------------------


def _checked(archive: zipfile.ZipFile, name: str) -> dict[str, int]:
    """Check the unpacked sizes of all XML files; return how many rows each sheet has."""
    parts = archive.infolist()
    if len(parts) > MAX_PARTS:
        raise UsageError(f"{name} has {len(parts):,} parts, more than {MAX_PARTS:,}")
    for part in parts:
        # Nothing longer is ever unpacked: zipfile stops at the size that is stated.
        limit = _limit(part.filename)
        if part.file_size > limit:
            raise UsageError(
                f"{printable(part.filename)} in {name} unpacks to {part.file_size:,} bytes, more "
                f"than {limit:,}; save the sheet as CSV UTF-8, which has no such limit"
            )
    return {
        part.filename: _count_rows(archive, part, name)
        for part in parts
        if _SHEET.fullmatch(part.filename)
    }


def _limit(part: str) -> int:
    if _SHEET.fullmatch(part):
        return MAX_SHEET_BYTES
    if _STRINGS.fullmatch(part):
        return MAX_STRINGS_BYTES
    return MAX_PART_BYTES if _XML.fullmatch(part) else MAX_SHEET_BYTES


def _count_rows(archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str) -> int:
    """Count the rows of a sheet.

    Raises:
        UsageError: there are too many bytes between the beginnings of two rows.
    """
    rows, last, end, rest = 0, 0, 0, b""
    with archive.open(part) as file:
        while chunk := file.read(CHUNK_BYTES):
            text = rest + chunk
            begins = [end - len(rest) + match.start() for match in _ROW.finditer(text)]
            end += len(chunk)
            rows += len(begins)
            edges = [last, *begins, end]
            if max(b - a for a, b in pairwise(edges)) > MAX_ROW_BYTES:
                raise UsageError(
                    f"a row of {printable(part.filename)} in {name} has more than "
                    f"{MAX_ROW_BYTES:,} bytes; save the sheet as CSV UTF-8"
                )
            last = begins[-1] if begins else last
            # A tag may be cut in two; its beginning is read again.
            cut = text.rfind(b"<", -TAG_BYTES)
            rest = text[cut:] if cut >= 0 and not _ROW.match(text, cut) else b""
    return rows


# -- values ---------------------------------------------------------------------------------------


def _records(sheet: ReadOnlyWorksheet) -> Iterator[Record]:
    sheet.reset_dimensions()  # programs state wrong ones
    rows = sheet.iter_rows(max_row=MAX_ROWS + 1, values_only=True)
    number = 0
    while True:
        some: list[tuple[Any, ...]] = []
        fault = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                some.extend(islice(rows, AT_ONCE))
        except Exception as error:  # whatever its parsers raise; the rows before it are good
            reason = " ".join(str(error).split())[:200]
            fault = f"cannot be read, nor can the rows after it: {printable(reason)}"
        for row in some:
            number += 1
            if number > MAX_ROWS:
                fault = f"only {MAX_ROWS:,} rows of a sheet are read; save it as CSV UTF-8"
                break
            yield Record(number, [_as_text(value) for value in row[:MAX_COLUMNS]], "")
        if fault:
            yield Record(number + 1, [], "", fault)
        if fault or not some:
            return


def _as_text(value: Any) -> str:
    """Return a cell's value as a person reads it: 30 rather than 30.0, a date without 00:00:00."""
    match value:
        case None:
            return ""
        case str():
            return value.replace("_x000D_", "")
        case bool():
            return str(value).upper()
        case float():
            return f"{value:.15g}"
        case date() | time():
            return value.isoformat().removesuffix("T00:00:00").replace("T", " ")
        case _:
            return str(value)
