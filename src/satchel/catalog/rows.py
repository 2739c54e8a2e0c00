"""One row of a catalogue: a photo of a product, checked before anything is read or stored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from satchel.catalog.file_names import composed
from satchel.catalog.headers import CODE, LINK_FIELDS, PHOTO, column_name
from satchel.catalog.photo_folder import PhotoFolder
from satchel.errors import UsageError
from satchel.folders import is_photo
from satchel.records import PRODUCT_FIELDS, Problem
from satchel.text import printable

MAX_CODE_CHARS: Final = 200
MAX_VALUE_CHARS: Final = 4_000
MAX_PHOTOS: Final = 200
"""Photos that one row may name."""
QUOTED_CHARS: Final = 200
"""Characters of a faulty line that a message quotes."""

NOT_TEXT: Final = "holds a control character or half a character"
SHEET_ERRORS: Final = frozenset(
    ("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!")
)
"""What a spreadsheet writes into a cell whose formula fails."""


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One photo of one product, from a catalogue file or folder.

    Attributes:
        line: 1-based line in the file, or 0 for a folder.
        photo: path of the file; inside the catalogue's folder.
        product: values of `PRODUCT_FIELDS`, only those that are not empty.
        link: values of `LINK_FIELDS`, likewise.
        attributes: every other column that is not empty.
        empty: names of the columns, of any kind, that the file has and this row leaves empty.
    """

    line: int
    code: str
    photo: Path
    product: Mapping[str, str] = field(default_factory=dict)
    link: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RowProblem(Problem):
    """A row that cannot be imported.

    Attributes:
        line: 1-based line in the file (0 where the source has no lines, as a folder).
        column: the column at fault.
        value: the value at fault.
        code: of the product, where the row says it.
    """

    line: int
    column: str
    value: str
    code: str = ""

    @classmethod
    def of(cls, line: int, column: str, value: str, reason: str, *, code: str = "") -> RowProblem:
        """Make a problem that names the row by line and column, or by its file."""
        what = f"line {line}, {printable(column)} = {value!r}" if line else printable(value)
        return cls(what, reason, line, column, value, code)


@dataclass(frozen=True, slots=True)
class AddressRow(RowProblem):
    """A row whose photo is an address: nothing is fetched, the row is kept for later.

    Attributes:
        values: all of the row's columns but code and photo that are not empty.
    """

    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, line: int, url: str, values: Mapping[str, str]) -> AddressRow:
        """Make a row of a photo's address."""
        reason = "is an address, and import fetches nothing; download the photo and name its file"
        own = {name: value for name, value in values.items() if name != CODE}
        what = f"line {line}, {PHOTO} = {url!r}"
        return cls(what, reason, line, PHOTO, url, values[CODE], own)


Row = CatalogueRow | RowProblem


def check_row(
    line: int, cells: Mapping[str, str], photos: Sequence[str], folder: PhotoFolder
) -> Iterator[Row]:
    """Check a row of a file, whose cells may hold anything; yield one row for each photo.

    Args:
        cells: by the names of their columns, without photos.
        photos: the cells of photos, each of which may name several.
    """
    for name, value in (*cells.items(), *((PHOTO, photo) for photo in photos)):
        problem = _not_text(line, name, value)
        if problem is not None:
            yield problem
            return
    values = {name: tidy(value) for name, value in cells.items() if name}
    values = {name: "" if value in SHEET_ERRORS else value for name, value in values.items()}
    code = values.get(CODE, "")
    named = [name for cell in photos for name in _photo_names(cell.strip(), folder)]
    if not code or not named:
        missing = PHOTO if code else CODE
        reason = "is missing; every row needs a code and a photo"
        yield RowProblem.of(line, missing, "", reason, code=code)
        return
    if len(named) > MAX_PHOTOS:
        reason = f"names {len(named):,} photos, more than {MAX_PHOTOS} in one row"
        yield RowProblem.of(line, PHOTO, quoted(named[0]), reason, code=code)
        return
    for name in named:
        yield _with_code(_check_photo(line, values, name, folder), code)


def check_values(line: int, values: Mapping[str, str], photo: Path) -> Row:
    """Check the values of a row whose photo is found; empty ones are of columns left empty."""
    problem = _bad_values(line, values)
    if problem is not None:
        return problem
    filled = {name: value for name, value in values.items() if value}
    known = {CODE, PHOTO, *PRODUCT_FIELDS, *LINK_FIELDS}
    return CatalogueRow(
        line,
        values[CODE],
        photo,
        {name: filled[name] for name in PRODUCT_FIELDS if name in filled},
        {name: filled[name] for name in LINK_FIELDS if name in filled},
        {name: value for name, value in filled.items() if name not in known},
        frozenset(name for name, value in values.items() if not value),
    )


def _check_photo(line: int, values: Mapping[str, str], photo: str, folder: PhotoFolder) -> Row:
    if "://" in photo or photo.startswith("//"):
        return _address(line, values, photo)
    path = _photo(line, photo, folder)
    return path if isinstance(path, RowProblem) else check_values(line, values, path)


def _bad_values(line: int, values: Mapping[str, str]) -> RowProblem | None:
    for name, value in values.items():
        limit = MAX_CODE_CHARS if name == CODE else MAX_VALUE_CHARS
        if len(value) > limit:
            return RowProblem.of(line, name, value[:80] + "…", f"is longer than {limit} characters")
    code = values[CODE]
    if not code.isprintable():
        return RowProblem.of(line, CODE, code, "holds characters that cannot be printed")
    return None


# -- photos ---------------------------------------------------------------------------------------

_BEFORE_ADDRESS: Final = re.compile(r"[\s,;|]+(?=(?:https?:)?//)")
_BETWEEN_NAMES: Final = re.compile(r"[\n\r;|,]")
_WEB: Final = re.compile(r"(?:https?:)?//[^\s/]", re.IGNORECASE)


def _photo_names(cell: str, folder: PhotoFolder) -> list[str]:
    """Split a cell that names several photos; a name may itself hold a comma."""
    if "//" in cell:
        return [name for part in _BEFORE_ADDRESS.split(cell) if (name := part.strip(" ,;|\n\r"))]
    names = [name for part in _BETWEEN_NAMES.split(cell) if (name := part.strip())]
    several = len(names) > 1 and all(is_photo(Path(name)) for name in names)
    if not several or _is_file(cell, folder):
        return [cell] if cell else []
    return names


def _is_file(cell: str, folder: PhotoFolder) -> bool:
    try:
        return folder.find(cell).is_file()
    except (OSError, ValueError):
        return False


def _address(line: int, values: Mapping[str, str], url: str) -> RowProblem:
    if not _WEB.match(url):
        reason = "is an address of another kind than http:// and https://; name a file"
        return RowProblem.of(line, PHOTO, quoted(url), reason)
    if len(url) > MAX_VALUE_CHARS:
        return _too_long(line, url)
    problem = _bad_values(line, values)
    if problem is not None:
        return problem
    whole = f"https:{url}" if url.startswith("//") else url
    return AddressRow.at(line, whole, {name: value for name, value in values.items() if value})


def _photo(line: int, value: str, photos: PhotoFolder) -> Path | RowProblem:
    if len(value) > MAX_VALUE_CHARS:
        return _too_long(line, value)
    try:
        path = photos.find(value)
        exists = path.is_file()
    except (OSError, ValueError) as error:
        return RowProblem.of(line, PHOTO, value, f"is not a usable path: {error}")
    inside = check_inside(line, value, path, photos)
    if isinstance(inside, Path) and not exists:
        reason = f"no such file in {photos.root}; check its name, or name the folder with --photos"
        return RowProblem.of(line, PHOTO, value, reason)
    return inside


def _too_long(line: int, value: str) -> RowProblem:
    reason = f"is longer than {MAX_VALUE_CHARS} characters"
    return RowProblem.of(line, PHOTO, value[:80] + "…", reason)


def check_inside(line: int, value: str, path: Path, photos: PhotoFolder) -> Path | RowProblem:
    """Return a resolved path, or a problem where it is outside of the photos' folder.

    A catalogue file is not trusted.
    """
    if photos.holds(path):
        return path
    reason = f"is outside {photos.root}; move it there, or name the photos' folder with --photos"
    return RowProblem.of(line, PHOTO, value, reason)


# -- edits ----------------------------------------------------------------------------------------


def checked_values(values: Mapping[str, str]) -> dict[str, str]:
    """Check and trim the values of an edit, by columns as a catalogue file names them.

    Raises:
        UsageError: a name or a value cannot be stored, or cannot be set like this.
    """
    checked = {}
    for given, value in values.items():
        name = column_name(given)
        if not name or not _is_text(name) or len(name) > MAX_CODE_CHARS:
            raise UsageError(f"expected the name of a column, got {given[:80]!r}")
        if name in (CODE, PHOTO):
            raise UsageError(
                f"{name!r} is not set like a column: rename, merge or delete the product, or "
                "delete one of its photos"
            )
        if not _is_text(value):
            raise UsageError(f"the value of {name} {NOT_TEXT}; type it again")
        checked[name] = tidy(value)
        if len(checked[name]) > MAX_VALUE_CHARS:
            raise UsageError(f"the value of {name} is longer than {MAX_VALUE_CHARS} characters")
    if not checked:
        raise UsageError("expected at least one column to set, got none")
    return checked


def checked_code(code: str) -> str:
    """Check and trim the code of a product.

    Raises:
        UsageError: it is empty, too long, or cannot be printed.
    """
    tidied = tidy(code)
    if not tidied or not tidied.isprintable() or len(tidied) > MAX_CODE_CHARS:
        raise UsageError(
            f"expected a code of 1 to {MAX_CODE_CHARS} printable characters, got {code[:80]!r}"
        )
    return tidied


# -- text -----------------------------------------------------------------------------------------


def tidy(text: str) -> str:
    """Trim and compose (NFC): macOS writes Korean file names in pieces, others do not."""
    return composed(text).strip()


def _not_text(line: int, name: str, value: str) -> RowProblem | None:
    if not _is_text(name):
        return RowProblem.of(line, "row", name, f"is a column's name that {NOT_TEXT}; rename it")
    if not _is_text(value):
        return RowProblem.of(line, name, quoted(value), f"{NOT_TEXT}; type the value again")
    return None


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


def _with_code(row: Row, code: str) -> Row:
    if isinstance(row, RowProblem) and not row.code:
        return replace(row, code=code)
    return row
