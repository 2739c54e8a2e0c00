"""What is said of products, read whole into memory, and again whenever it has changed.

That the database's files changed would tell too much: a market writes them all day, with every
log-in, every step of a listing, every job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine, func, select, true

from satchel.catalog.brands import Brands
from satchel.catalog.dialect import json_entries
from satchel.catalog.filters import MAX_CHARS
from satchel.catalog.tables import DecisionRow, ProductPhotoRow, ProductRow, RevisionRow
from satchel.files import stamp_of
from satchel.records import PRODUCT_FIELDS

Made = TypeVar("Made")


class FollowsColumns(Generic[Made]):
    """Something made of the columns of all products, and made anew once they, or brands, change.

    Safe in several threads.
    """

    def __init__(
        self, engine: Engine, brands: Brands, make: Callable[[Connection, Brands], Made]
    ) -> None:
        self._engine = engine
        self._brands = brands
        self._make = make
        self._lock = Lock()
        self._known: tuple[object, Made] | None = None

    def read(self) -> Made:
        """Return it as the catalogue is now."""
        brands = stamp_of(self._brands.files)  # before reading, so that no change is missed
        with self._lock, self._engine.connect() as connection:  # one state of the database
            stamp = columns_stamp(connection), brands
            if self._known is None or self._known[0] != stamp:
                self._known = stamp, self._make(connection, self._brands)
            return self._known[1]


def columns_stamp(connection: Connection) -> tuple[int, ...]:
    """Return numbers of which one is another whenever products or their columns have changed.

    Imports add products, or photos, which count the revision up, or count changed columns; edits
    are decisions; deleting and undoing count the revision up.
    """
    product, decision = (
        select(func.coalesce(func.max(row.id), 0)).scalar_subquery()
        for row in (ProductRow, DecisionRow)
    )
    counted = select(RevisionRow.value, RevisionRow.columns, product, decision)
    return tuple(connection.execute(counted).one())


def further_columns(connection: Connection) -> Iterator[tuple[int, str, str]]:
    """Yield (product's id, attribute, value) of what all photo rows of a product agree on.

    Longer values than `MAX_CHARS` are left out.
    """
    entries = json_entries(ProductPhotoRow.attributes)
    least, most = func.min(entries.c.value), func.max(entries.c.value)
    agreed = (
        select(ProductPhotoRow.product_id, entries.c.key, least)
        .join(entries, true())
        .group_by(ProductPhotoRow.product_id, entries.c.key)
        .having(least == most, func.length(least) <= MAX_CHARS)
    )
    for number, name, value in connection.execute(agreed):
        if len(name) <= MAX_CHARS:
            yield number, name, str(value)


def own_columns(connection: Connection) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield (product's id, code, those of `PRODUCT_FIELDS` that have a value), by code."""
    fields = (getattr(ProductRow, name) for name in PRODUCT_FIELDS)
    chosen = select(ProductRow.id, ProductRow.code, *fields).order_by(ProductRow.code)
    for number, code, *values in connection.execute(chosen):
        named = zip(PRODUCT_FIELDS, values, strict=True)
        yield number, code, {name: value for name, value in named if value}
