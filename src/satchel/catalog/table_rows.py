"""Rows of a table: its header found and named, its records checked.

The header is the first record, of the first `HEADER_RECORDS`, that has columns for code and
photo: tables of shops often begin with a title. A row may lack its trailing empty cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from satchel.catalog.csv_records import Record
from satchel.catalog.headers import (
    CODE,
    PHOTO,
    header_key,
    missing_columns,
    name_columns,
)
from satchel.catalog.photo_folder import PhotoFolder
from satchel.catalog.rows import Row, RowProblem, check_row, quoted
from satchel.errors import UsageError
from satchel.text import printable

HEADER_RECORDS: Final = 20

Columns = tuple[tuple[str, str], ...]
"""Pairs (field, header) that a person says."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a table.

    Attributes:
        line: of its record.
        headers: as they are written.
        names: of the columns; see `name_columns`.
    """

    line: int
    headers: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether there are columns for code and photo."""
        return not missing_columns(self.names)

    def notes(self) -> tuple[str, ...]:
        """Say how the columns are read, where that is not plain from their headers."""
        renamed = [
            f"{name} = {printable(header.strip())}"
            for name, header in zip(self.names, self.headers, strict=True)
            if name and header_key(name) != header_key(header)
        ]
        return (f"columns read: {', '.join(renamed)}",) if renamed else ()


def find_header(records: Iterable[Record], given: Columns) -> tuple[Header | None, Record | None]:
    """Find the header among the first records.

    Returns:
        the header, complete or the one that comes nearest; and a record before it that cannot be
        parsed, for a message.

    Raises:
        UsageError: the header has two columns of one name.
    """
    best, fault = None, None
    for record in islice(records, HEADER_RECORDS):
        if record.fault:
            fault = fault or record
            continue
        header = _header_of(record, given)
        if header is None:
            continue
        if header.complete:
            return header, fault
        if best is None or len(missing_columns(header.names)) < len(missing_columns(best.names)):
            best = header
    return best, fault


def _header_of(record: Record, given: Columns) -> Header | None:
    cells = tuple(record.cells)
    if not any(cell.strip() for cell in cells):
        return None
    try:
        return Header(record.line, cells, name_columns(cells, given))
    except UsageError:
        plain = tuple(header_key(cell) for cell in cells)
        if missing_columns(_recognised(cells)):
            return Header(record.line, cells, plain)  # a title, or data
        raise


def _recognised(cells: Sequence[str]) -> list[str]:
    """Names of the columns whose headers are each there once."""
    return [name for cell in set(cells) for name in name_columns((cell,))]


def require_complete(
    header: Header | None, fault: Record | None, what: str, given: Columns
) -> Header:
    """Return a header that has columns for code and photo, and those that a person names.

    Raises:
        UsageError: it has not.
    """
    if header is None or not header.complete:
        if fault is not None and (header is None or fault.line < header.line):
            raise UsageError(f"line {fault.line} of {what} cannot be read: {fault.fault}")
        found = ", ".join(
            cell if cell.isprintable() else repr(cell)
            for cell in (cell.strip() for cell in (header.headers if header else ()))
        )
        missing = missing_columns(header.names if header else ())
        raise UsageError(
            f"expected columns for code and photo in the first {HEADER_RECORDS} lines of {what}, "
            f"found {quoted(found) or 'nothing'}; add {' and '.join(missing)}, or say which "
            f"column it is: {' '.join(f'--column {name}=HEADER' for name in missing)}"
        )
    keys = {header_key(one) for one in header.headers}
    for field, wanted in given:
        if header_key(wanted) not in keys:
            raise UsageError(
                f"expected a column {wanted!r} in {what}, to be read as {field}; its columns are "
                f"{quoted(', '.join(one.strip() for one in header.headers))}"
            )
    return header


def table_rows(
    records: Iterable[Record], header: Header, folder: PhotoFolder, delimiter: str = " "
) -> Iterator[Row]:
    """Yield the checked rows of the records after the header.

    Blank ones are left out, and those that repeat the header: at the top of each printed page, or
    as the second line of one that is merged over two.
    """
    for record in records:
        if record.line > header.line and (record.fault or not _is_no_row(record, header)):
            yield from _rows_of(record, header, folder, delimiter)


def _is_no_row(record: Record, header: Header) -> bool:
    if not any(cell.strip() for cell in record.cells):
        return True
    required = [at for at, name in enumerate(header.names) if name in (CODE, PHOTO)]
    return len(record.cells) > max(required) and all(
        record.cells[at] == header.headers[at] for at in required
    )


def _rows_of(record: Record, header: Header, folder: PhotoFolder, delimiter: str) -> Iterator[Row]:
    names, cells = header.names, record.cells
    if record.fault:
        yield RowProblem.of(record.line, "row", quoted(record.text), record.fault)
        return
    if any(cell.strip() for cell in cells[len(names) :]):
        reason = f"expected {len(names)} cells as in the header, got {len(cells)}"
        yield RowProblem.of(record.line, "row", quoted(delimiter.join(cells)), reason)
        return
    padded = [*cells, *[""] * (len(names) - len(cells))][: len(names)]
    values = {name: cell for name, cell in zip(names, padded, strict=True) if name != PHOTO}
    photos = [cell for name, cell in zip(names, padded, strict=True) if name == PHOTO]
    yield from check_row(record.line, {CODE: "", **values}, photos, folder)
