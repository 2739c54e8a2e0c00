"""Catalogue importers: CSV, XLSX, JSON Lines or a folder per code, as a stream of checked rows.

A faulty row becomes a `RowProblem` in the stream, in its place: bad rows never cost good ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from satchel.catalog.csv_records import TOO_LONG, Lines
from satchel.catalog.csv_table import open_csv
from satchel.catalog.encodings import TextFile, inspect_text
from satchel.catalog.folder_rows import folder_rows, survey_folder
from satchel.catalog.headers import CODE, PHOTO, attribute_field, name_columns
from satchel.catalog.photo_folder import PhotoFolder
from satchel.catalog.rows import Row, RowProblem, check_row, quoted
from satchel.catalog.sheet_table import open_sheet
from satchel.catalog.table_rows import Columns
from satchel.catalog.workbook import OLE, WORKBOOK_SUFFIXES
from satchel.errors import UsageError

CSV_SUFFIXES: Final = (".csv", ".tsv", ".txt")
"""Excel calls its tab-separated "Unicode text" .txt."""
JSONL_SUFFIXES: Final = (".jsonl", ".ndjson")
ZIP: Final = b"PK\x03\x04"
PAGES: Final = (b"<!doctype", b"<html", b"<table", b"<meta")
"""How web pages begin, which some shops export under the name of an Excel file."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """A catalogue opened for reading.

    Attributes:
        total: rows expected, for a progress bar.
        notes: how it is read and what is left out, a sentence each.
    """

    total: int
    rows: Callable[[], Iterator[Row]]
    notes: tuple[str, ...] = ()


def open_rows(
    path: Path,
    photos: Path | None = None,
    encoding: str | None = None,
    columns: Columns = (),
    sheet: str | None = None,
) -> RowSource:
    """Open a catalogue: a CSV, XLSX or JSONL file, or a folder that has a folder for each code.

    Args:
        path: the file or folder.
        photos: the folder that photo paths are relative to; default, the file's own.
        encoding: of the file's text; default, as `satchel.catalog.encodings` detects it.
        columns: pairs (field, header) for headers that are not recognised.
        sheet: title of the workbook's sheet; default, the first with columns for code and photo.

    Raises:
        UsageError: it is not there, cannot be read, is of no known kind, has no usable header, or
            its encoding cannot be detected.
    """
    try:
        if path.is_dir():
            if columns or sheet is not None:
                raise UsageError(f"expected a file for --column and --sheet, got the folder {path}")
            survey = survey_folder(path)
            return RowSource(survey.photos, lambda: folder_rows(path), tuple(survey.notes()))
        return _open_file(path, photos or path.parent, encoding, columns, sheet)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None


def parse_columns(texts: Sequence[str]) -> Columns:
    """Read `FIELD=HEADER` texts.

    Raises:
        UsageError: a text is not of this form.
    """
    columns = []
    for text in texts:
        field, equals, header = (part.strip() for part in text.partition("="))
        if not (field and equals and header):
            raise UsageError(f"expected FIELD=HEADER, such as code=품번, got {text!r}")
        name = field.lower()
        columns.append((attribute_field(name) or name, header))
    return tuple(columns)


def _open_file(
    path: Path, root: Path, encoding: str | None, columns: Columns, sheet: str | None
) -> RowSource:
    if not path.is_file():
        raise UsageError(
            f"expected a catalogue file (.csv, .xlsx, .jsonl) or a folder per code, found nothing "
            f"at {path}; check the path"
        )
    if not root.is_dir():
        raise UsageError(f"expected a folder of photos at {root}; check --photos")
    photos = PhotoFolder(root)
    head = _head(path)
    if head.startswith((ZIP, OLE)) or path.suffix.lower() in WORKBOOK_SUFFIXES:
        table = open_sheet(path, sheet, columns)
        total = table.sheet.rows - table.rows_before
        return RowSource(total, lambda: table.rows(photos), (*table.header.notes(), *table.notes))
    if sheet is not None:
        raise UsageError(f"expected an Excel workbook for --sheet, got {path.name}")
    return _open_text(path, head, photos, encoding, columns)


def _open_text(
    path: Path, head: bytes, photos: PhotoFolder, encoding: str | None, columns: Columns
) -> RowSource:
    suffix = path.suffix.lower()
    expected = f"expected .xlsx, .csv, .tsv, .jsonl or a folder, got {path.name}"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        raise UsageError(f"{expected}, a web page; open it in Excel and save it as .xlsx")
    if suffix not in (*CSV_SUFFIXES, *JSONL_SUFFIXES):
        raise UsageError(
            f"{expected}, a file with {f'the suffix {suffix}' if suffix else 'no suffix'}; save "
            "the table as .xlsx or CSV UTF-8"
        )
    text = inspect_text(path, encoding)
    if suffix in JSONL_SUFFIXES:
        rows = partial(_jsonl_rows, path, text.encoding, photos, columns)
        return RowSource(text.lines, rows, _encoding_note(path, text))
    table = open_csv(path, text.encoding, columns)
    total = max(0, text.lines - table.header.line)
    notes = (*_encoding_note(path, text), *table.header.notes())
    return RowSource(total, lambda: table.rows(photos), notes)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1_000)


def _encoding_note(path: Path, text: TextFile) -> tuple[str, ...]:
    if not text.inferred:
        return ()
    return (
        f"{path.name} is not in UTF-8: read as {text.encoding.upper()}, which its words point to; "
        "if names are garbled, pass --encoding",
    )


# -- JSON Lines -----------------------------------------------------------------------------------


def _jsonl_rows(path: Path, encoding: str, photos: PhotoFolder, columns: Columns) -> Iterator[Row]:
    with path.open(encoding=encoding) as file:
        lines = Lines(file)
        while (line := lines.take()) is not None:
            if line is TOO_LONG:
                yield RowProblem.of(lines.number, "row", "", f"is {TOO_LONG}")
            elif line.strip():
                yield from _jsonl_row(lines.number, line, photos, columns)


def _jsonl_row(number: int, line: str, folder: PhotoFolder, columns: Columns) -> Iterator[Row]:
    try:
        value = json.loads(line)
        if not isinstance(value, dict):
            yield RowProblem.of(number, "row", quoted(line), "expected a JSON object")
            return
        names = name_columns(tuple(value), columns)
    except (ValueError, RecursionError) as error:
        yield RowProblem.of(number, "row", quoted(line), f"not JSON: {error}")
        return
    except UsageError as error:
        yield RowProblem.of(number, "row", quoted(line), str(error))
        return
    cells = {CODE: ""}
    photos: list[str] = []
    for name, one in zip(names, value.values(), strict=True):
        if name == PHOTO:
            photos += [_as_text(each) for each in (one if isinstance(one, list) else [one])]
        else:
            cells[name] = _as_text(one)
    yield from check_row(number, cells, photos, folder)


def _as_text(value: Any) -> str:
    """Return a JSON value as the text of a cell."""
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
