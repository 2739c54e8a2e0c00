"""Catalogue importers: CSV, JSON lines, or a folder per code, read as a stream of checked rows.

A faulty row becomes a `RowProblem` in the stream, in its place: bad rows never cost good ones.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from satchel.catalog.csv_records import TOO_LONG, Lines, Record, read_records
from satchel.catalog.encodings import TextFile, inspect_text
from satchel.catalog.photo_folder import PhotoFolder
from satchel.catalog.rows import (
    REQUIRED,
    CatalogueRow,
    RowProblem,
    as_text,
    check_inside,
    check_row,
    check_values,
    column_name,
    quoted,
)
from satchel.errors import UsageError
from satchel.folders import LINKS, is_photo, say_passed_over, system_entry, walk_files
from satchel.text import printable

CSV_SUFFIXES: Final = (".csv", ".tsv", ".txt")
"""Excel calls its tab-separated "Unicode text" .txt."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """A catalogue opened for reading.

    Attributes:
        total: rows expected, for a progress bar.
        notes: how it is read and what is left out, a sentence each.
    """

    total: int
    rows: Callable[[], Iterator[CatalogueRow | RowProblem]]
    notes: tuple[str, ...] = ()


def open_rows(path: Path, photos: Path | None = None, encoding: str | None = None) -> RowSource:
    """Open a catalogue: a CSV or JSONL file, or a folder that has a folder for each code.

    Args:
        path: the file or folder.
        photos: the folder that photo paths are relative to; default, the file's own.
        encoding: of the file's text; default, as `satchel.catalog.encodings` detects it.

    Raises:
        UsageError: it is not there, cannot be read, is of no known kind, has no usable header, or
            its encoding cannot be detected.
    """
    try:
        if path.is_dir():
            return _open_folder(path)
        return _open_file(path, photos or path.parent, encoding)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None


def _open_folder(path: Path) -> RowSource:
    survey = _survey_folder(path)
    return RowSource(survey.photos, lambda: _folder_rows(path), tuple(survey.notes()))


def _open_file(path: Path, root: Path, encoding: str | None) -> RowSource:
    if not path.is_file():
        raise UsageError(
            f"expected a catalogue file (.csv, .jsonl) or a folder per code, found nothing at "
            f"{path}; check the path"
        )
    if not root.is_dir():
        raise UsageError(f"expected a folder of photos at {root}; check --photos")
    suffix, photos = path.suffix.lower(), PhotoFolder(root)
    if suffix in CSV_SUFFIXES:
        text = inspect_text(path, encoding)
        _csv_header(path, text.encoding)  # before anything is read: a bad header is the caller's
        rows = partial(_csv_rows, path, text.encoding, photos)
        return RowSource(max(0, text.lines - 1), rows, _encoding_note(path, text))
    if suffix in (".jsonl", ".ndjson"):
        text = inspect_text(path, encoding)
        rows = partial(_jsonl_rows, path, text.encoding, photos)
        return RowSource(text.lines, rows, _encoding_note(path, text))
    raise UsageError(
        f"expected .csv, .tsv, .jsonl or a folder, got {path.name} ({suffix or 'no'} "
        "suffix); save the table as CSV with the columns code and photo"
    )


def _encoding_note(path: Path, text: TextFile) -> tuple[str, ...]:
    if not text.inferred:
        return ()
    return (
        f"{path.name} is not in UTF-8: read as {text.encoding.upper()}, which its words point to; "
        "if names are garbled, pass --encoding",
    )


# -- the three kinds ----------------------------------------------------------------------------


def _csv_rows(
    path: Path, encoding: str, photos: PhotoFolder
) -> Iterator[CatalogueRow | RowProblem]:
    header, dialect = _csv_header(path, encoding)
    at = header.index("photo")

    def is_row(cells: list[str]) -> bool:
        return len(cells) == len(header) and is_photo(Path(cells[at].strip()))

    with path.open(encoding=encoding, newline="") as file:
        records = read_records(Lines(file), dialect, is_row)
        next(records)  # the header
        for record in records:
            if record.fault or any(cell.strip() for cell in record.cells):
                yield _csv_row(record, header, dialect.delimiter, photos)


def _csv_row(
    record: Record, header: list[str], delimiter: str, photos: PhotoFolder
) -> CatalogueRow | RowProblem:
    if record.fault:
        return RowProblem.of(record.line, "row", quoted(record.text), record.fault)
    if len(record.cells) != len(header):
        reason = f"expected {len(header)} cells as in the header, got {len(record.cells)}"
        return RowProblem.of(record.line, "row", quoted(delimiter.join(record.cells)), reason)
    return check_row(record.line, dict(zip(header, record.cells, strict=True)), photos)


def _csv_header(path: Path, encoding: str) -> tuple[list[str], type[csv.Dialect]]:
    class Dialect(csv.excel):
        pass

    with path.open(encoding=encoding, newline="") as file:
        lines = Lines(file)
        first = lines.take() or ""
        lines.give_back([first])
        Dialect.delimiter = max(",;\t", key=first.count)
        record = next(read_records(lines, Dialect, lambda _: False))
    if record.fault:
        raise UsageError(f"the first line of {path.name} cannot be read: {record.fault}")
    header = [column_name(cell) for cell in record.cells]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        found = ", ".join(name if name.isprintable() else repr(name) for name in header)
        raise UsageError(
            f"expected the columns code and photo in the first line of {path.name}, "
            f"found {quoted(found) or 'nothing'}; add {' and '.join(missing)}"
        )
    double = sorted({name for name in header if name and header.count(name) > 1})
    if double:
        raise UsageError(f"column {double[0]} is twice in {path.name}; rename one of them")
    return header, Dialect


def _jsonl_rows(
    path: Path, encoding: str, photos: PhotoFolder
) -> Iterator[CatalogueRow | RowProblem]:
    with path.open(encoding=encoding) as file:
        lines = Lines(file)
        while (line := lines.take()) is not None:
            if line is TOO_LONG:
                yield RowProblem.of(lines.number, "row", "", f"is {TOO_LONG}")
            elif line.strip():
                yield _jsonl_row(lines.number, line, photos)


def _jsonl_row(number: int, line: str, photos: PhotoFolder) -> CatalogueRow | RowProblem:
    try:
        value = json.loads(line)
        if not isinstance(value, dict):
            return RowProblem.of(number, "row", quoted(line), "expected a JSON object")
        cells = {column_name(key): as_text(value[key]) for key in value}
    except (ValueError, RecursionError) as error:
        return RowProblem.of(number, "row", quoted(line), f"not JSON: {error}")
    return check_row(number, cells, photos)


# -- a folder per code ----------------------------------------------------------------------------


@dataclass(slots=True)
class _FolderSurvey:
    """Contents of a folder, counted before it is read."""

    photos: int = 0
    loose: int = 0
    others: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)

    def notes(self) -> Iterator[str]:
        """Yield what will not be read: photos of no code, other files, system files, links."""
        if self.loose:
            yield (
                f"passed over, photos outside the folders, which have no code ({self.loose:,}): "
                "put each into a folder named by its code"
            )
        if self.others:
            kinds = ", ".join(f"{kind} ({count:,})" for kind, count in self.others.most_common(5))
            yield f"passed over, by their names no photos: {kinds}"
        if self.passed_over:
            yield say_passed_over(self.passed_over)


def _survey_folder(path: Path) -> _FolderSurvey:
    survey = _FolderSurvey()
    for entry in _entries(path, survey.passed_over):
        if not entry.is_dir():
            survey.loose += is_photo(Path(entry.name))
    for _, file in _files_by_code(path, survey.passed_over):
        if isinstance(file, OSError):
            continue
        if is_photo(file):
            survey.photos += 1
        else:
            survey.others[printable(file.suffix.lower()) or "no suffix"] += 1
    return survey


def _folder_rows(path: Path) -> Iterator[CatalogueRow | RowProblem]:
    root = PhotoFolder(path)
    for code, file in _files_by_code(path):
        if isinstance(file, OSError):
            reason = f"folder cannot be listed ({(file.strerror or 'unknown reason').lower()})"
            yield RowProblem.of(0, "photo", str(file.filename), reason)
        elif is_photo(file):
            # The file's own name may hold anything: it is not stored.
            photo = check_inside(0, str(file), file.resolve(), root)
            yield photo if isinstance(photo, RowProblem) else check_values(0, {"code": code}, photo)


def _files_by_code(
    path: Path, passed_over: Counter[str] | None = None
) -> Iterator[tuple[str, Path | OSError]]:
    """Files in the folders below `path`, by name; a folder inside a code's belongs to it."""
    for folder in sorted(_entries(path), key=lambda entry: entry.name):
        if folder.is_dir() and folder.is_symlink():
            if passed_over is not None:
                passed_over[LINKS] += 1
        elif folder.is_dir():
            errors: list[OSError] = []
            for file in walk_files(folder.path, passed_over=passed_over, on_error=errors.append):
                yield folder.name, file
            yield from ((folder.name, error) for error in errors)


def _entries(path: Path, passed_over: Counter[str] | None = None) -> list[os.DirEntry[str]]:
    own = []
    with os.scandir(path) as entries:
        for entry in entries:
            kind = system_entry(entry.name, folder=entry.is_dir())
            if kind is None:
                own.append(entry)
            elif passed_over is not None:
                passed_over[kind] += 1
    return own
