"""Reading facets from the database, again whenever it or the list of brands has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock

import numpy as np
from sqlalchemy import Engine, func, select, true

from satchel.catalog.brands import Brands
from satchel.catalog.dialect import database_files, json_entries
from satchel.catalog.facets import Facets, ValueProducts, fold
from satchel.catalog.filters import MAX_CHARS, attribute_key
from satchel.catalog.tables import ProductPhotoRow, ProductRow
from satchel.files import Stamp, stamp_of
from satchel.records import PRODUCT_FIELDS


class FacetStore:
    """Reads facets, and again whenever database or brands have changed. Safe in several threads."""

    def __init__(self, engine: Engine, brands: Brands) -> None:
        self._engine = engine
        self._brands = brands
        self._lock = Lock()
        self._known: tuple[Stamp, Facets] | None = None

    def read(self) -> Facets:
        """Return the facets of the catalogue as it is now."""
        with self._lock:
            # Before reading, so that no change is missed.
            stamp = stamp_of((*database_files(self._engine), *self._brands.files))
            if self._known is None or self._known[0] != stamp:
                self._known = stamp, read_facets(self._engine, self._brands)
            return self._known[1]


def read_facets(engine: Engine, brands: Brands) -> Facets:
    """Read the attributes of every product; longer values than `MAX_CHARS` are left out."""
    spellings: dict[str, dict[str, dict[str, list[int]]]] = {}
    names: dict[str, str] = {}
    for product, name, value in _values(engine):
        key = attribute_key(name)
        names.setdefault(key, name)
        of_value = spellings.setdefault(key, {}).setdefault(fold(brands, key, value), {})
        of_value.setdefault(value, []).append(product)
    return Facets(
        {
            key: {value: _value(spelled) for value, spelled in of_key.items() if value}
            for key, of_key in spellings.items()
        },
        names,
        brands,
    )


def _value(spelled: Mapping[str, list[int]]) -> ValueProducts:
    """Join the products of a value's spellings."""
    most = min(spelled, key=lambda one: (-len(spelled[one]), one))
    products = [product for of_spelling in spelled.values() for product in of_spelling]
    return ValueProducts(most, np.unique(np.array(products, np.int64)))


def _values(engine: Engine) -> Iterator[tuple[int, str, str]]:
    """Yield (product's id, attribute, value): of further columns, what all photo rows agree on."""
    fields = select(ProductRow.id, *(getattr(ProductRow, name) for name in PRODUCT_FIELDS))
    entries = json_entries(ProductPhotoRow.attributes)
    least, most = func.min(entries.c.value), func.max(entries.c.value)
    further = (
        select(ProductPhotoRow.product_id, entries.c.key, least)
        .join(entries, true())
        .group_by(ProductPhotoRow.product_id, entries.c.key)
        .having(least == most, func.length(least) <= MAX_CHARS)
    )
    with engine.connect() as connection:  # one transaction: one state of the catalogue
        for number, *values in connection.execute(fields):
            for name, value in zip(PRODUCT_FIELDS, values, strict=True):
                if value and len(value) <= MAX_CHARS:
                    yield number, name, value
        for number, name, value in connection.execute(further):
            if len(name) <= MAX_CHARS:
                yield number, name, str(value)
