"""Lists of photos' URLs: CSV, XLSX and JSON Lines, and Google Merchant feeds as XML or TSV."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from satchel.catalog.headers import CODE, PHOTO, header_key, name_columns
from satchel.catalog.importers import CSV_SUFFIXES, JSONL_SUFFIXES, open_rows
from satchel.catalog.photo_folder import PhotoFolder
from satchel.catalog.rows import AddressRow, Row, RowProblem, check_row
from satchel.catalog.table_rows import Columns
from satchel.collect.records import Found
from satchel.errors import UsageError
from satchel.records import PRODUCT_FIELDS
from satchel.xml_stream import Element, read_elements, root_tag

FEED_FIELDS: Final = {
    "title": "name",
    "brand": "brand",
    "color": "colour",
    "size": "size",
    "product_type": "category",
    "link": "page",
}
"""Element of a feed → column."""
FEEDS: Final = {"rss": ("item", 3), "feed": ("entry", 2)}
"""Root of a feed → element of a product, and its depth."""
_PHOTO_KEYS: Final = ("url", "imagelink", "additionalimagelink")
_CODE_KEYS: Final = ("mpn", "gid", "id")
_WEB: Final = re.compile(r"(?:https?:)?//", re.IGNORECASE)
MAX_HEAD_CHARS: Final = 100_000


@dataclass(frozen=True, slots=True)
class UrlList:
    """A list opened for reading.

    Attributes:
        total: rows expected; 0 where that is not known.
        notes: how it is read, a sentence each.
    """

    total: int
    found: Callable[[], Iterator[Found | RowProblem]]
    notes: tuple[str, ...] = ()


def open_list(path: Path, encoding: str | None = None, columns: Columns = ()) -> UrlList:
    """Open a list of URLs.

    Args:
        path: CSV, TSV, XLSX or JSON Lines with columns for code and URL, or a Google Merchant feed.
        encoding: of the file's text; default, detected.
        columns: pairs (field, header) for headers that are not recognised.

    Raises:
        UsageError: it cannot be read, or has no such columns.
    """
    _check_file(path)
    if path.suffix.lower() == ".xml":
        root = root_tag(path)
        if root not in FEEDS:
            raise UsageError(
                f"expected a Google Merchant feed (<rss> or <feed>) at {path}, got "
                f"{f'<{root}>' if root else 'no XML that can be read'}"
            )
        return UrlList(0, lambda: (_found(row) for row in _feed_rows(path, root)))
    given = {field for field, _ in columns}
    guessed = tuple(pair for pair in _guess(path) if pair[0] not in given)
    source = open_rows(path, None, encoding, (*columns, *guessed))
    return UrlList(source.total, lambda: (_found(row) for row in source.rows()), source.notes)


def _check_file(path: Path) -> None:
    """Refuse what is no file, before anything opens it: a pipe would be waited for."""
    try:
        if path.is_file():
            return
        kind = "a folder" if path.is_dir() else "no regular file" if path.exists() else "nothing"
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None
    raise UsageError(
        f"expected a list of photos' addresses (.csv, .tsv, .xlsx, .jsonl, or a feed as .xml), got "
        f"{kind} at {path}; check the path"
    )


def _found(row: Row) -> Found | RowProblem:
    if isinstance(row, AddressRow):
        product = {name: row.values[name] for name in PRODUCT_FIELDS if name in row.values}
        page, license_ = row.values.get("page"), row.values.get("license")
        return Found(row.code, row.value, row.line, page=page, license=license_, product=product)
    if isinstance(row, RowProblem):
        if row.column == PHOTO and row.value and not _WEB.match(row.value):
            reason = "expected an address that begins with http:// or https://"
            return replace(row, reason=reason)
        return row
    reason = "is a file of this machine: `satchel import` takes it"
    return RowProblem.of(row.line, PHOTO, str(row.photo.name), reason, code=row.code)


def _guess(path: Path) -> Iterator[tuple[str, str]]:
    """Yield columns that only lists of URLs and feeds have, by the file's first line."""
    headers = _headers(path)
    try:
        names = name_columns(tuple(headers))
    except UsageError:
        return
    by_key = {header_key(header): header for header in headers}
    if CODE not in names:
        yield from [(CODE, by_key[key]) for key in _CODE_KEYS if key in by_key][:1]
    if "additionalimagelink" in by_key or PHOTO not in names:
        yield from ((PHOTO, by_key[key]) for key in _PHOTO_KEYS if key in by_key)
    if "link" in by_key and "imagelink" in by_key:
        yield "page", by_key["link"]


def _headers(path: Path) -> list[str]:
    suffix = path.suffix.lower()
    if suffix not in (*CSV_SUFFIXES, *JSONL_SUFFIXES):
        return []
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            line = file.readline(MAX_HEAD_CHARS)
    except OSError:
        return []  # whoever opens it next says why
    if suffix in JSONL_SUFFIXES:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return []
        return list(value) if isinstance(value, dict) else []
    return [cell.strip().strip('"') for cell in re.split(r"[,;\t]", line)]


def _feed_rows(path: Path, root: str) -> Iterator[Row]:
    tag, depth = FEEDS[root]
    folder = PhotoFolder(path.parent)
    for element in read_elements(path, root, frozenset((tag,)), depth):
        values = _feed_values(element)
        code = values.pop("mpn", "") or values.pop("id", "")
        cells = {column: values[name] for name, column in FEED_FIELDS.items() if name in values}
        photos = islice(_texts(element, "image_link", "additional_image_link"), 200)
        yield from check_row(element.line, {CODE: code, **cells}, list(photos), folder)


def _feed_values(element: Element) -> dict[str, str]:
    values: dict[str, str] = {}
    for child in element.children:
        name = child.tag.removeprefix("g:")
        text = child.text.strip() or child.attributes.get("href", "")
        if text and name not in values:
            values[name] = text
    return values


def _texts(element: Element, *names: str) -> Iterator[str]:
    for child in element.children:
        if child.tag.removeprefix("g:") in names and child.text.strip():
            yield child.text.strip()
