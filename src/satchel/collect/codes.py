"""Lists of codes, with or without names: a text, CSV or JSON Lines file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Final

from satchel.catalog.encodings import inspect_text
from satchel.catalog.headers import CODE, name_columns
from satchel.catalog.importers import JSONL_SUFFIXES
from satchel.catalog.rows import MAX_CODE_CHARS, MAX_VALUE_CHARS, tidy
from satchel.catalog.store import Catalogue
from satchel.errors import UsageError
from satchel.records import PRODUCT_FIELDS, Product

MAX_BYTES: Final = 50_000_000
SUFFIXES: Final = (".csv", ".tsv", ".txt", *JSONL_SUFFIXES)


def read_codes(path: Path, encoding: str | None = None) -> list[Product]:
    """Read a list of codes: one a line, or a table with a column for them; each code once.

    Raises:
        UsageError: it cannot be read, is too large, or has no such column.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"expected a list of codes as text, CSV or JSON Lines, got {path.name}; save it as "
            "CSV UTF-8"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"expected at most {MAX_BYTES:,} bytes in {path.name}; split it")
        text = path.read_text(encoding=inspect_text(path, encoding).encoding)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None
    rows = _json_rows(text, path) if path.suffix.lower() in JSONL_SUFFIXES else _rows(text, path)
    listed: dict[str, Product] = {}
    for row in rows:
        code = tidy(row.get(CODE, ""))
        if not code:
            continue
        if len(code) > MAX_CODE_CHARS or not code.isprintable():
            raise UsageError(f"expected codes of printable characters, got {code[:80]!r}")
        values = {name: tidy(row.get(name, ""))[:MAX_VALUE_CHARS] for name in PRODUCT_FIELDS}
        filled: dict[str, Any] = {name: value for name, value in values.items() if value}
        listed.setdefault(code, replace(Product(code), **filled))
    if not listed:
        raise UsageError(f"expected codes in {path.name}, found none")
    return list(listed.values())


def listed_products(
    listed: Iterable[Product], catalogue: Catalogue
) -> tuple[list[Product], list[Product]]:
    """Return the products of a list, known ones as the catalogue has them.

    Codes that were renamed or merged are followed, deleted products are left out.

    Returns:
        the products, each once, and those of them that are new.
    """
    standing, today = catalogue.edits.standing(), dict[str, Product]()
    for one in listed:
        code, _ = standing.current(one.code, catalogue.has_product)
        today.setdefault(code, replace(one, code=code))
    known = catalogue.products_by_code(today)
    products = [
        known.get(code, one)
        for code, one in today.items()
        if code in known or code not in standing.deleted
    ]
    return products, [one for one in products if one.code not in known]


def add_products(products: Iterable[Product], catalogue: Catalogue) -> None:
    """Add those of these products that the catalogue does not have."""
    with catalogue.writing() as writer:
        for one in products:
            if writer.product(one.code) is None:
                values = {name: getattr(one, name) for name in PRODUCT_FIELDS}
                writer.add_product(one.code, {k: value for k, value in values.items() if value})


def _rows(text: str, path: Path) -> Iterator[dict[str, str]]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        lines = StringIO(text.removeprefix("\ufeff"))
        records = [one for one in csv.reader(lines, delimiter=delimiter) if any(one)]
    except csv.Error as error:
        raise UsageError(f"{path.name} cannot be read as CSV: {error}") from None
    if not records:
        return
    names = name_columns(tuple(records[0]))
    if CODE in names:
        for record in records[1:]:
            yield dict(zip(names, record, strict=False))
    elif len(records[0]) == 1:
        yield from ({CODE: record[0]} for record in records)
    else:
        raise UsageError(
            f"expected a column for codes in {path.name}, found {', '.join(records[0])[:200]}; "
            'call it "code"'
        )


def _json_rows(text: str, path: Path) -> Iterator[dict[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            assert isinstance(value, dict)
        except (ValueError, RecursionError, AssertionError):
            raise UsageError(f"expected a JSON object in line {number} of {path.name}") from None
        names = name_columns(tuple(value))
        yield {
            name: str(one)
            for name, one in zip(names, value.values(), strict=True)
            if one is not None
        }
