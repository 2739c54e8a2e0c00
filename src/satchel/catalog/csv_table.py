"""A CSV file as a table: its delimiter and its header, found together."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.catalog.csv_records import Lines, Record, read_records
from satchel.catalog.headers import PHOTO
from satchel.catalog.photo_folder import PhotoFolder
from satchel.catalog.rows import Row
from satchel.catalog.table_rows import (
    Columns,
    Header,
    find_header,
    require_complete,
    table_rows,
)
from satchel.folders import is_photo

DELIMITERS: Final = ",;\t"


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file whose delimiter and header are known."""

    path: Path
    encoding: str
    dialect: type[csv.Dialect]
    header: Header

    def rows(self, photos: PhotoFolder) -> Iterator[Row]:
        """Yield its checked rows."""
        names = self.header.names
        at = names.index(PHOTO)

        def is_row(cells: list[str]) -> bool:
            return at < len(cells) <= len(names) and is_photo(Path(cells[at].strip()))

        with _records(self.path, self.encoding, self.dialect, is_row) as records:
            yield from table_rows(records, self.header, photos, self.dialect.delimiter)


def open_csv(path: Path, encoding: str, columns: Columns) -> CsvTable:
    """Find the delimiter, which is the one that gives a header with code and photo.

    Raises:
        UsageError: none of them does.
    """
    with path.open(encoding=encoding, newline="") as file:
        line = Lines(file).take() or ""
    delimiters = sorted(DELIMITERS, key=line.count, reverse=True)
    tried = [_try(path, encoding, delimiter, columns) for delimiter in delimiters]
    complete = [one for one in tried if one[1] is not None and one[1].complete]
    dialect, header, fault = (complete or tried)[0]
    return CsvTable(path, encoding, dialect, require_complete(header, fault, path.name, columns))


def _try(
    path: Path, encoding: str, delimiter: str, columns: Columns
) -> tuple[type[csv.Dialect], Header | None, Record | None]:
    dialect = _dialect(delimiter)
    with _records(path, encoding, dialect, lambda _: False) as records:
        return dialect, *find_header(records, columns)


def _dialect(separator: str) -> type[csv.Dialect]:
    class Dialect(csv.excel):
        delimiter = separator

    return Dialect


@contextmanager
def _records(
    path: Path, encoding: str, dialect: type[csv.Dialect], is_row: Callable[[list[str]], bool]
) -> Iterator[Iterator[Record]]:
    with path.open(encoding=encoding, newline="") as file:
        yield read_records(Lines(file), dialect, is_row)
