"""Excel workbooks (XLSX), read as a stream of records by openpyxl."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from satchel.catalog.csv_records import Record
from satchel.catalog.workbook_survey import Merged, survey_sheets
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
AT_ONCE: Final = 200

_PICTURE: Final = re.compile(r"xl/media/.+", re.IGNORECASE)
OLE: Final = b"\xd0\xcf\x11\xe0"
"""First bytes of old Excel files, and of those with a password."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook.

    Attributes:
        rows: how many it has, for a progress bar.
        merged: cells that are merged with those below.
        head: its first records.
    """

    path: Path
    title: str
    rows: int
    merged: frozenset[Merged]
    head: tuple[Record, ...]

    def records(self) -> Iterator[Record]:
        """Yield a record for each row, blank ones too; merged cells have their value in each row.

        Rows after one that cannot be read are lost, which the last record's `fault` says.
        """
        with _opened(self.path) as book:
            yield from _filled_down(_records(book[self.title]), self.merged)


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
        surveys = survey_sheets(archive, path.name)
        pictures = sum(1 for name in archive.namelist() if _PICTURE.fullmatch(name))
    with _opened(path) as book:
        sheets = tuple(
            Sheet(path, sheet.title, *_survey_of(sheet, surveys), _head(sheet, head))
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


def _survey_of(
    sheet: ReadOnlyWorksheet, surveys: Mapping[str, tuple[int, frozenset[Merged]]]
) -> tuple[int, frozenset[Merged]]:
    part = str(sheet._worksheet_path).lstrip("/")  # there is no public name for it
    return surveys.get(part, (0, frozenset()))


def _head(sheet: ReadOnlyWorksheet, count: int) -> tuple[Record, ...]:
    return tuple(islice(_records(sheet), count))


def _damaged(path: Path, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UsageError(
        f"{path.name} is no usable Excel workbook ({printable(reason)}); open it in Excel and save "
        "it again as .xlsx, or as CSV UTF-8"
    )


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


def _filled_down(records: Iterator[Record], merged: frozenset[Merged]) -> Iterator[Record]:
    """Give merged cells their value in every row that has another one."""
    waiting = sorted(merged, key=lambda one: one.first, reverse=True)
    values: dict[int, tuple[int, str]] = {}  # column → last row, value
    for record in records:
        cells = record.cells
        while waiting and waiting[-1].first <= record.line:
            one = waiting.pop()
            if one.first == record.line and one.column <= len(cells):
                values[one.column] = one.last, cells[one.column - 1]
        if any(cells):
            for column, (last, value) in values.items():
                if record.line <= last:
                    cells.extend([""] * (column - len(cells)))
                    cells[column - 1] = value
        yield record


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
