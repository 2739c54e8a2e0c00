"""One row of a catalogue: a photo of a product, checked before anything is read or stored."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from satchel.catalog.photo_folder import PhotoFolder
from satchel.records import PRODUCT_FIELDS, Problem
from satchel.text import printable

LINK_FIELDS: Final = ("role", "source", "license")
REQUIRED: Final = ("code", "photo")
ALIASES: Final = {"color": "colour", "licence": "license"}
MAX_CODE_CHARS: Final = 200
MAX_VALUE_CHARS: Final = 4_000
QUOTED_CHARS: Final = 200
"""Characters of a faulty line that a message quotes."""

NOT_TEXT: Final = "holds a control character or half a character"


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One photo of one product, from a catalogue file or folder.

    Attributes:
        line: 1-based line in the file, or 0 for a folder.
        photo: path of the file; inside the catalogue's folder.
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
class RowProblem(Problem):
    """A row that cannot be imported.

    Attributes:
        line: 1-based line in the file (0 where the source has no lines, as a folder).
        column: the column at fault.
        value: the value at fault.
        reason: why it cannot be imported and what would be right.
    """

    line: int
    column: str
    value: str

    @classmethod
    def of(cls, line: int, column: str, value: str, reason: str) -> RowProblem:
        """Make a problem that names the row by line and column, or by its file."""
        what = f"line {line}, {printable(column)} = {value!r}" if line else printable(value)
        return cls(what, reason, line, column, value)


def check_row(
    line: int, cells: Mapping[str, str], photos: PhotoFolder
) -> CatalogueRow | RowProblem:
    """Check a row of a file, whose cells may hold anything."""
    for name, value in cells.items():
        if not _is_text(name):
            return RowProblem.of(
                line, "row", name, f"is a column's name that {NOT_TEXT}; rename it"
            )
        if not _is_text(value):
            return RowProblem.of(line, name, quoted(value), f"{NOT_TEXT}; type the value again")
    values = {name: tidy(value) for name, value in cells.items() if name and value.strip()}
    for name in REQUIRED:
        if name not in values:
            return RowProblem.of(line, name, "", "is missing; every row needs a code and a photo")
    photo = _photo(line, cells["photo"].strip(), photos)
    values.pop("photo")
    return photo if isinstance(photo, RowProblem) else check_values(line, values, photo)


def check_values(line: int, values: Mapping[str, str], photo: Path) -> CatalogueRow | RowProblem:
    """Check the values of a row whose photo is found."""
    for name, value in values.items():
        limit = MAX_CODE_CHARS if name == "code" else MAX_VALUE_CHARS
        if len(value) > limit:
            return RowProblem.of(line, name, value[:80] + "…", f"is longer than {limit} characters")
    code = tidy(values["code"])
    if not code.isprintable():
        return RowProblem.of(line, "code", code, "holds characters that cannot be printed")
    known = {*REQUIRED, *PRODUCT_FIELDS, *LINK_FIELDS}
    return CatalogueRow(
        line,
        code,
        photo,
        {name: values[name] for name in PRODUCT_FIELDS if name in values},
        {name: values[name] for name in LINK_FIELDS if name in values},
        {name: value for name, value in values.items() if name not in known},
    )


def _photo(line: int, value: str, photos: PhotoFolder) -> Path | RowProblem:
    if "://" in value:
        return RowProblem.of(
            line, "photo", value, "is an address; download the photo and name its file"
        )
    if len(value) > MAX_VALUE_CHARS:
        reason = f"is longer than {MAX_VALUE_CHARS} characters"
        return RowProblem.of(line, "photo", value[:80] + "…", reason)
    try:
        path = photos.find(value)
        exists = path.is_file()
    except (OSError, ValueError) as error:
        return RowProblem.of(line, "photo", value, f"is not a usable path: {error}")
    inside = check_inside(line, value, path, photos)
    if isinstance(inside, Path) and not exists:
        return RowProblem.of(line, "photo", value, f"no such file in {photos.root}")
    return inside


def check_inside(line: int, value: str, path: Path, photos: PhotoFolder) -> Path | RowProblem:
    """Return a resolved path, or a problem where it is outside of the photos' folder.

    A catalogue file is not trusted.
    """
    if photos.holds(path):
        return path
    reason = f"is outside {photos.root}; move it there, or name the photos' folder with --photos"
    return RowProblem.of(line, "photo", value, reason)


def column_name(name: str) -> str:
    """Return a column's name, trimmed, in lower case and without spelling variants."""
    plain = tidy(name).lower()
    return ALIASES.get(plain, plain)


def tidy(text: str) -> str:
    """Trim and compose (NFC): macOS writes Korean file names in pieces, others do not."""
    return unicodedata.normalize("NFC", text).strip()


def _is_text(value: str) -> bool:
    """Whether a value can be stored, printed and written to a file: no control characters.

    Tabs and line breaks are text; half of a surrogate pair, which JSON can hold, is not.
    """
    if value.isprintable():
        return True
    return not any(
        unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r"
        for character in value
    )


def quoted(text: str) -> str:
    """Return the start of a faulty line or value, for a message."""
    return text[:QUOTED_CHARS].rstrip()


def as_text(value: Any) -> str:
    """Return a JSON value as the text of a cell."""
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
