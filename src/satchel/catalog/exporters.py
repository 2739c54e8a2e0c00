"""The catalogue as the rows of a file that an import reads: CSV, or JSON Lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Engine, Select, func, select, true, tuple_

from satchel.catalog.dialect import json_entries
from satchel.catalog.headers import LINK_FIELDS
from satchel.catalog.tables import PhotoRow, ProductPhotoRow, ProductRow
from satchel.errors import UsageError
from satchel.records import PRODUCT_FIELDS

FIRST_COLUMNS: Final = ("code", *PRODUCT_FIELDS, "photo", *LINK_FIELDS)
PAGE: Final = 1_000
NOT_IN_HEADERS: Final = (";", "\t", "\n", "\r")
"""Characters by which a CSV file's delimiter could be taken for another."""


class TableFormat(StrEnum):
    """Format of an exported table; its value is the file's suffix too."""

    CSV = "csv"
    JSONL = "jsonl"


class CatalogueExport:
    """Reads the catalogue row by row: one for each photo of each product, by code."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, *, kept: bool = False) -> int:
        """Count the rows.

        Args:
            kept: without photos that are dropped or in doubt.
        """
        with self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(_rows(kept).subquery())) or 0

    def columns(self) -> list[str]:
        """Return the names of all columns: those of every catalogue, then the further ones."""
        entries = json_entries(ProductPhotoRow.attributes)
        further = (
            select(entries.c.key).select_from(ProductPhotoRow).join(entries, true()).distinct()
        )
        with self._engine.connect() as connection:
            return [*FIRST_COLUMNS, *sorted(connection.scalars(further))]

    def photos(self, *, kept: bool = False) -> Iterator[str]:
        """Yield the SHA-256 of every photo once."""
        last = 0
        shown = select(PhotoRow.id, PhotoRow.sha256).join(ProductPhotoRow).distinct()
        if kept:
            shown = shown.where(ProductPhotoRow.state == "kept")
        while True:
            page = shown.where(PhotoRow.id > last).order_by(PhotoRow.id).limit(PAGE)
            with self._engine.connect() as connection:
                rows = connection.execute(page).all()
            if not rows:
                return
            yield from (row.sha256 for row in rows)
            last = rows[-1].id

    def rows(self, *, kept: bool = False) -> Iterator[dict[str, str]]:
        """Yield rows without their empty cells; `photo` is a path, see `photo_path`.

        Reads a page at a time and holds no transaction between: who downloads slowly stops nobody.
        """
        order = tuple_(ProductRow.code, ProductPhotoRow.id)
        page = _rows(kept).order_by(ProductRow.code, ProductPhotoRow.id).limit(PAGE)
        last = ("", 0)
        while True:
            with self._engine.connect() as connection:
                rows = connection.execute(page.where(order > last)).all()
            if not rows:
                return
            yield from map(_cells, rows)
            last = (rows[-1].code, rows[-1].id)

    def without_photos(self, *, kept: bool = False) -> list[str]:
        """Return the codes of the products that have no row, by code."""
        has_row = select(ProductPhotoRow.id).where(ProductPhotoRow.product_id == ProductRow.id)
        if kept:
            has_row = has_row.where(ProductPhotoRow.state == "kept")
        chosen = select(ProductRow.code).where(~has_row.exists()).order_by(ProductRow.code)
        with self._engine.connect() as connection:
            return list(connection.scalars(chosen))


def _cells(row: Any) -> dict[str, str]:
    values = {name: getattr(row, name) for name in FIRST_COLUMNS}
    values["photo"] = photo_path(row.photo)
    return {**{name: value for name, value in values.items() if value}, **row.attributes}


def photo_path(photo: str) -> str:
    """Path of a photo, by SHA-256, next to an exported table; also its path on a server."""
    return f"photos/{photo}.jpg"


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Lay out rows as CSV, beginning with a byte order mark, so that Excel reads it as UTF-8.

    Raises:
        UsageError: a column's name could be taken for several.
    """
    wrong = [name for name in columns if any(one in name for one in NOT_IN_HEADERS)]
    if wrong:
        raise UsageError(
            f"the column {wrong[0]!r} has a character in its name that CSV files separate cells "
            "by; choose jsonl"
        )
    return _csv_lines(columns, rows)


def _csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    line = _Line()
    writer = csv.writer(line)
    writer.writerow(columns)
    yield "\ufeff" + line.text
    for row in rows:
        writer.writerow([row.get(name, "") for name in columns])
        yield line.text


def json_lines(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Lay out rows as JSON Lines, in ASCII, which no reader takes for another encoding."""
    for row in rows:
        yield json.dumps(row) + "\n"


class _Line:
    """A file that holds what was written last."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text = text


def _rows(kept: bool) -> Select[Any]:
    chosen = (
        select(
            ProductPhotoRow.id,
            ProductRow.code,
            *(getattr(ProductRow, name) for name in PRODUCT_FIELDS),
            PhotoRow.sha256.label("photo"),
            *(getattr(ProductPhotoRow, name) for name in LINK_FIELDS),
            ProductPhotoRow.attributes,
        )
        .select_from(ProductPhotoRow)
        .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
        .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
    )
    return chosen.where(ProductPhotoRow.state == "kept") if kept else chosen
