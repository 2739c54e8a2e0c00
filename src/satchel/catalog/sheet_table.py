"""A sheet of an Excel workbook as a table: the first whose header has code and photo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from satchel.catalog.photo_folder import PhotoFolder
from satchel.catalog.rows import Row
from satchel.catalog.table_rows import (
    HEADER_RECORDS,
    Columns,
    Header,
    find_header,
    require_complete,
    table_rows,
)
from satchel.catalog.workbook import Sheet, inspect_workbook
from satchel.errors import UsageError
from satchel.text import folded, printable


@dataclass(frozen=True, slots=True)
class SheetTable:
    """A sheet whose header is known.

    Attributes:
        notes: what of the workbook is not read, a sentence each.
    """

    sheet: Sheet
    header: Header
    notes: tuple[str, ...]

    @property
    def rows_before(self) -> int:
        """How many rows there are up to the header; blank ones are none."""
        return sum(bool(r.cells) and r.line <= self.header.line for r in self.sheet.head)

    def rows(self, photos: PhotoFolder) -> Iterator[Row]:
        """Yield its checked rows."""
        yield from table_rows(self.sheet.records(), self.header, photos)


def open_sheet(path: Path, title: str | None, columns: Columns) -> SheetTable:
    """Find the sheet to read.

    Args:
        title: of the sheet; default, the first with columns for code and photo.

    Raises:
        UsageError: it is no workbook, is too large, or has no such sheet.
    """
    book = inspect_workbook(path, HEADER_RECORDS)
    found = [(sheet, *find_header(sheet.head, columns)) for sheet in book.sheets]
    if title is not None:
        chosen = [one for one in found if folded(one[0].title) == folded(title)]
        if not chosen:
            titles = ", ".join(repr(sheet.title) for sheet in book.sheets)
            raise UsageError(f"expected a sheet {title!r} in {path.name}; it has {titles}")
    else:
        chosen = found
    if not chosen:
        raise UsageError(f"{path.name} has no sheet that is not hidden")
    usable = [one for one in chosen if one[1] is not None and one[1].complete]
    sheet, header, fault = (usable or chosen)[0]
    what = f"{path.name}, sheet {printable(sheet.title)}"
    header = require_complete(header, fault, what, columns)
    others = [one[0].title for one in usable[1:]]
    return SheetTable(sheet, header, tuple(_notes(sheet, others, book.pictures)))


def _notes(sheet: Sheet, others: list[str], pictures: int) -> Iterator[str]:
    if others:
        yield (
            f"read the sheet {printable(sheet.title)!r}; for {printable(', '.join(others))}, "
            "import again with --sheet NAME"
        )
    if pictures:
        yield (
            f"{pictures:,} pictures inside the workbook are not read: save them as files and name "
            "them in a column of photos"
        )
