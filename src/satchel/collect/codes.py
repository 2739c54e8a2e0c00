"""Lists of codes, with or without names: a text, CSV, XLSX or JSON Lines file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Final

from satchel.catalog.csv_records import Lines, Record, read_records
from satchel.catalog.encodings import inspect_text
from satchel.catalog.headers import CODE, name_columns
from satchel.catalog.importers import CSV_SUFFIXES, JSONL_SUFFIXES
from satchel.catalog.rows import MAX_VALUE_CHARS, RowProblem, checked_code, quoted, tidy
from satchel.catalog.store import Catalogue
from satchel.catalog.table_rows import HEADER_RECORDS, Header, find_header
from satchel.catalog.workbook import WORKBOOK_SUFFIXES, inspect_workbook
from satchel.errors import UsageError
from satchel.records import PRODUCT_FIELDS, Product

MAX_BYTES: Final = 50_000_000
SUFFIXES: Final = (*CSV_SUFFIXES, *JSONL_SUFFIXES, *WORKBOOK_SUFFIXES)


def read_codes(
    path: Path,
    encoding: str | None = None,
    *,
    on_problem: Callable[[RowProblem], None] = lambda _: None,
) -> list[Product]:
    """Read a list of codes: one a line, or a table with a column for them; each code once.

    Args:
        on_problem: receives each row whose code cannot be used; the others are read.

    Raises:
        UsageError: it cannot be read, is too large, or has no such column, or no code of it can be
            used.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"expected a list of codes as text, CSV, XLSX or JSON Lines, got {path.name}; save it "
            "as CSV UTF-8"
        )
    if path.exists() and not path.is_file():
        raise UsageError(f"expected a list of codes, found no file at {path}; check the path")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"expected at most {MAX_BYTES:,} bytes in {path.name}; split it")
        rows = list(_rows_of(path, encoding))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None
    listed: dict[str, Product] = {}
    problems: list[RowProblem] = []
    for line, row in rows:
        if not row.get(CODE, "").strip():
            continue
        try:
            code = checked_code(row[CODE])
        except UsageError as error:
            problems.append(RowProblem.of(line, CODE, quoted(row[CODE]), str(error)))
            on_problem(problems[-1])
            continue
        values = {name: tidy(row.get(name, ""))[:MAX_VALUE_CHARS] for name in PRODUCT_FIELDS}
        filled: dict[str, Any] = {name: value for name, value in values.items() if value}
        listed.setdefault(code, replace(Product(code), **filled))
    if problems and not listed:
        raise UsageError(f"expected codes in {path.name}, found none: {problems[0]}")
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


def _rows_of(path: Path, encoding: str | None) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows, each with its line in the file."""
    if path.suffix.lower() in WORKBOOK_SUFFIXES:
        return _table(_sheet(path), path.name)
    text = path.read_text(encoding=inspect_text(path, encoding).encoding).removeprefix("\ufeff")
    if path.suffix.lower() in JSONL_SUFFIXES:
        return _json_rows(text, path)
    return _table(_csv(text, path.name), path.name)


def _csv(text: str, name: str) -> list[Record]:
    class Dialect(csv.excel):
        delimiter = max(",;\t", key=text.partition("\n")[0].count)

    columns = text.partition("\n")[0].count(Dialect.delimiter) + 1
    lines = Lines(StringIO(text, newline=""))
    records = list(read_records(lines, Dialect, lambda cells: len(cells) == columns))
    if fault := next((one for one in records if one.fault), None):
        raise UsageError(f"line {fault.line} of {name} cannot be read: {fault.fault}")
    return records


def _sheet(path: Path) -> list[Record]:
    """Return the rows of the first sheet that has a column for codes, or of the first one."""
    sheets = inspect_workbook(path, HEADER_RECORDS).sheets
    if not sheets:
        raise UsageError(f"{path.name} has no sheet that is not hidden")
    chosen = next((one for one in sheets if _header(one.head) is not None), sheets[0])
    records = list(chosen.records())
    if records and (fault := records[-1].fault):
        raise UsageError(f"{path.name} cannot be read as a whole: {fault}")
    return records


def _header(records: Sequence[Record]) -> Header | None:
    """Return the header, if one of the first records has a column for codes."""
    header, _ = find_header(records, ())
    return header if header is not None and CODE in header.names else None


def _table(records: Sequence[Record], name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows below a header, or the codes of a table that is one column of them."""
    header = _header(records)
    if header is not None:
        for record in records:
            if record.line > header.line:
                yield record.line, dict(zip(header.names, record.cells, strict=False))
        return
    filled = [(one.line, [cell for cell in one.cells if cell.strip()]) for one in records]
    if wide := next((cells for _, cells in filled if len(cells) > 1), None):
        raise UsageError(
            f'expected a column for codes in {name}, found {", ".join(wide)[:200]}; call it "code"'
        )
    yield from ((line, {CODE: cells[0]}) for line, cells in filled if cells)


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            assert isinstance(value, dict)
        except (ValueError, RecursionError, AssertionError):
            raise UsageError(f"expected a JSON object in line {number} of {path.name}") from None
        if nested := next((one for one in value.values() if isinstance(one, dict | list)), None):
            raise UsageError(
                f"expected text or numbers in line {number} of {path.name}, "
                f"got {str(nested)[:80]!r}"
            )
        names = name_columns(tuple(value))
        values = zip(names, value.values(), strict=True)
        yield number, {name: str(one) for name, one in values if one is not None}
