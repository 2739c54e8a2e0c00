"""Reading facets from the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from sqlalchemy import Connection

from satchel.catalog.brands import Brands
from satchel.catalog.facets import Facets, ValueProducts, fold
from satchel.catalog.filters import MAX_CHARS, attribute_key
from satchel.catalog.product_columns import further_columns, own_columns


def read_facets(connection: Connection, brands: Brands) -> Facets:
    """Read the attributes of every product; longer values than `MAX_CHARS` are left out."""
    spellings: dict[str, dict[str, dict[str, list[int]]]] = {}
    names: dict[str, str] = {}
    for product, name, value in _values(connection):
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


def _values(connection: Connection) -> Iterator[tuple[int, str, str]]:
    """Yield (product's id, attribute, value)."""
    for number, _, fields in own_columns(connection):
        for name, value in fields.items():
            if len(value) <= MAX_CHARS:
                yield number, name, value
    yield from further_columns(connection)
