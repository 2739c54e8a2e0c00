"""Catalogue files → rows: CSV, JSON lines, or a folder per code; streamed, each row checked.

A row is one photo of one product. What is wrong with a row becomes a `RowError` in the stream,
in the row's place, so that bad rows never cost good ones.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from satchel.errors import RowError, UsageError
from satchel.images import PHOTO_SUFFIXES
from satchel.records import PRODUCT_FIELDS

LINK_FIELDS: Final = ("role", "source", "license")
REQUIRED: Final = ("code", "photo")
ALIASES: Final = {"color": "colour", "licence": "license"}
MAX_CODE_CHARS: Final = 200
MAX_VALUE_CHARS: Final = 4_000
LEFT_BY_SYSTEMS: Final = frozenset({"thumbs.db", "desktop.ini"})
ENCODINGS: Final = ("utf-8-sig", "cp949")
"""UTF-8, else what Korean Excel writes when asked for CSV."""


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One photo of one product, as a catalogue file tells it.

    Attributes:
        line: 1-based line in the file, or 0 for a folder.
        photo: where the file lies; inside the catalogue's folder.
        product: values of `PRODUCT_FIELDS`, only those that are not empty.
        link: values of `LINK_FIELDS`, likewise.
        attributes: every other column that is not empty.
    """

    line: int
    code: str
    photo: Path
    product: Mapping[str, str] = field(default_factory=dict)
    link: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowSource:
    """A catalogue opened for reading.

    Attributes:
        total: rows expected, for a progress bar.
        notes: what a person should know of what will not be read, a sentence each.
    """

    total: int
    rows: Callable[[], Iterator[CatalogueRow | RowError]]
    notes: tuple[str, ...] = ()


def open_rows(path: Path, photos: Path | None = None) -> RowSource:
    """Open a catalogue: a CSV or JSONL file, or a folder that has a folder for each code.

    Args:
        path: the file or folder.
        photos: the folder that photo paths are relative to; default, the file's own.

    Raises:
        UsageError: it is not there, is of no known kind, has no usable header, or its text is
            in neither UTF-8 nor CP949.
    """
    if path.is_dir():
        total = sum(_is_photo(file) for _, file in _files_by_code(path))
        return RowSource(total, lambda: _folder_rows(path), tuple(_passed_over(path)))
    if not path.is_file():
        raise UsageError(
            f"expected a catalogue file (.csv, .jsonl) or a folder per code, found nothing at "
            f"{path}; check the path"
        )
    root = (photos or path.parent).resolve()
    if not root.is_dir():
        raise UsageError(f"expected a folder of photos at {root}; check --photos")
    match path.suffix.lower():
        case ".csv" | ".tsv":
            lines, encoding = _survey(path)
            _csv_header(path, encoding)  # before anything is read: a bad header is the caller's
            return RowSource(max(0, lines - 1), lambda: _csv_rows(path, encoding, root))
        case ".jsonl" | ".ndjson":
            lines, encoding = _survey(path)
            return RowSource(lines, lambda: _jsonl_rows(path, encoding, root))
        case suffix:
            raise UsageError(
                f"expected .csv, .tsv, .jsonl or a folder, got {path.name} ({suffix or 'no'} "
                "suffix); save the table as CSV with the columns code and photo"
            )


# -- the three kinds ----------------------------------------------------------------------------


def _csv_rows(path: Path, encoding: str, root: Path) -> Iterator[CatalogueRow | RowError]:
    header, dialect = _csv_header(path, encoding)
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, dialect)
        next(reader)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield RowError(reader.line_num, "row", "", f"not readable as CSV: {error}")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                yield RowError(
                    reader.line_num,
                    "row",
                    dialect.delimiter.join(cells)[:200],
                    f"expected {len(header)} cells as in the header, got {len(cells)}",
                )
                continue
            yield _row(reader.line_num, dict(zip(header, cells, strict=True)), root)


def _csv_header(path: Path, encoding: str) -> tuple[list[str], type[csv.Dialect]]:
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()

    class Dialect(csv.excel):
        delimiter = max(",;\t", key=first.count)

    header = [_column(cell) for cell in next(csv.reader([first], Dialect), [])]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise UsageError(
            f"expected the columns code and photo in the first line of {path.name}, "
            f"found {', '.join(header) or 'nothing'}; add {' and '.join(missing)}"
        )
    double = sorted({name for name in header if name and header.count(name) > 1})
    if double:
        raise UsageError(f"column {double[0]} stands twice in {path.name}; rename one of them")
    return header, Dialect


def _jsonl_rows(path: Path, encoding: str, root: Path) -> Iterator[CatalogueRow | RowError]:
    with path.open(encoding=encoding) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield RowError(number, "row", line[:200].rstrip(), f"not JSON: {error}")
                continue
            if not isinstance(value, dict):
                yield RowError(number, "row", line[:200].rstrip(), "expected a JSON object")
                continue
            yield _row(number, {_column(key): _text(value[key]) for key in value}, root)


def _folder_rows(path: Path) -> Iterator[CatalogueRow | RowError]:
    for code, file in _files_by_code(path):
        if _is_photo(file):
            yield _row(0, {"code": code, "photo": str(file.relative_to(path))}, path.resolve())


def _files_by_code(path: Path) -> Iterator[tuple[str, Path]]:
    """Files in the folders below `path`, by name; a folder inside a code's belongs to it."""
    for folder in sorted(_visible(path), key=lambda entry: entry.name):
        if folder.is_dir(follow_symlinks=False):
            for parent, folders, files in os.walk(folder.path):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(files):
                    if not name.startswith("."):
                        yield folder.name, Path(parent, name)


def _is_photo(file: Path) -> bool:
    return file.suffix.lower() in PHOTO_SUFFIXES


def _passed_over(path: Path) -> Iterator[str]:
    """Say which files of a folder will not be read: by their names no photos, or of no code."""
    loose = sum(_is_photo(Path(entry.name)) for entry in _visible(path) if not entry.is_dir())
    if loose:
        yield (
            f"passed over, photos beside the folders, which have no code ({loose:,}): "
            "put each into a folder named by its code"
        )
    others = Counter(
        file.suffix.lower() or "no suffix"
        for _, file in _files_by_code(path)
        if not _is_photo(file) and file.name.lower() not in LEFT_BY_SYSTEMS
    )
    if others:
        kinds = ", ".join(f"{suffix} ({count:,})" for suffix, count in others.most_common(5))
        yield f"passed over, by their names no photos: {kinds}"


def _visible(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


# -- one row ------------------------------------------------------------------------------------


def _row(line: int, cells: Mapping[str, str], root: Path) -> CatalogueRow | RowError:
    values = {name: _tidy(value) for name, value in cells.items() if name and value.strip()}
    for name in REQUIRED:
        if name not in values:
            return RowError(line, name, "", "is missing; every row needs a code and a photo")
    for name, value in values.items():
        limit = MAX_CODE_CHARS if name == "code" else MAX_VALUE_CHARS
        if len(value) > limit:
            return RowError(line, name, value[:80] + "…", f"is longer than {limit} characters")
    if not values["code"].isprintable():
        return RowError(line, "code", values["code"], "holds characters that cannot be printed")
    photo = _photo_path(line, cells["photo"].strip(), root)
    if isinstance(photo, RowError):
        return photo
    known = {*REQUIRED, *PRODUCT_FIELDS, *LINK_FIELDS}
    return CatalogueRow(
        line,
        values["code"],
        photo,
        {name: values[name] for name in PRODUCT_FIELDS if name in values},
        {name: values[name] for name in LINK_FIELDS if name in values},
        {name: value for name, value in values.items() if name not in known},
    )


def _photo_path(line: int, value: str, root: Path) -> Path | RowError:
    """Resolve a photo's path, which must stay inside `root`: a catalogue file is not trusted."""
    if "://" in value:
        return RowError(line, "photo", value, "is an address; download the photo and name its file")
    try:
        path = (root / value.replace("\\", "/")).resolve()
        inside, exists = path.is_relative_to(root), path.is_file()
    except (OSError, ValueError) as error:
        return RowError(line, "photo", value, f"is not a usable path: {error}")
    if not inside:
        reason = f"lies outside {root}; move it there, or name the photos' folder with --photos"
        return RowError(line, "photo", value, reason)
    if not exists:
        return RowError(line, "photo", value, f"no such file in {root}")
    return path


def _column(name: str) -> str:
    tidy = _tidy(name).lower()
    return ALIASES.get(tidy, tidy)


def _tidy(text: str) -> str:
    """Trim and compose (NFC): macOS writes Korean file names in pieces, others do not."""
    return unicodedata.normalize("NFC", text).strip()


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _survey(path: Path) -> tuple[int, str]:
    """Count a text file's lines and find its encoding, in one pass and bounded memory."""
    decoders = {name: codecs.getincrementaldecoder(name)() for name in ENCODINGS}
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
            for name, decoder in list(decoders.items()):
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    del decoders[name]
            if not decoders:
                raise UsageError(
                    f"expected text in UTF-8 (or CP949), got other bytes in {path.name} near line "
                    f"{lines}; save it again as 'CSV UTF-8'"
                )
    return lines + (last != b"\n"), next(iter(decoders))
