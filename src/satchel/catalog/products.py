"""Products and their photos in the database: queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, Select, case, func, select

from satchel.catalog.brands import Brands
from satchel.catalog.columns import product_row
from satchel.catalog.database import current_revision
from satchel.catalog.product_columns import FollowsColumns, columns_stamp
from satchel.catalog.product_search import read_search
from satchel.catalog.tables import (
    PhotoRow,
    PhotoSourceRow,
    ProductPhotoRow,
    ProductRow,
)
from satchel.parallel import batched
from satchel.records import PRODUCT_FIELDS, Product, ProductPhoto

CODES_AT_ONCE: Final = 500
"""Codes that one query names."""


@dataclass(frozen=True, slots=True)
class CatalogueSize:
    """How much there is."""

    products: int
    photos: int


@dataclass(frozen=True, slots=True)
class ProductPage:
    """A stretch of the products that match, each with its first photo's SHA-256."""

    total: int
    products: tuple[tuple[Product, str | None], ...]


class StoredPhoto(NamedTuple):
    """A photo in the database; `width` and `height` in pixels, upright."""

    id: int
    sha256: str
    width: int
    height: int


class ProductKind(NamedTuple):
    """What look-alikes have in common, lower case; empty where the catalogue does not say.

    Attributes:
        brand: by `Brands.key`.
        colours: the words of its colour.
    """

    brand: str
    category: str
    colours: frozenset[str]


class ProductStore:
    """Queries of products and of the photos that show them.

    Attributes:
        brands: under all their names.
    """

    def __init__(self, engine: Engine, brands: Brands) -> None:
        self._engine = engine
        self.brands = brands
        self._search = FollowsColumns(engine, brands, read_search)

    def revision(self) -> int:
        """Count of the changes so far that an index depends on."""
        with self._engine.connect() as connection:
            return current_revision(connection)

    def columns_stamp(self) -> tuple[int, ...]:
        """Return numbers of which one is another whenever products or their columns have changed.

        See `columns_stamp`.
        """
        with self._engine.connect() as connection:
            return columns_stamp(connection)

    def size(self) -> CatalogueSize:
        """Count products, and photos over all products."""
        with self._engine.connect() as connection:
            return CatalogueSize(
                connection.scalar(select(func.count()).select_from(ProductRow)) or 0,
                connection.scalar(select(func.count()).select_from(ProductPhotoRow)) or 0,
            )

    def product(self, code: str) -> Product:
        """Return the product of this code.

        Raises:
            CatalogueError: there is none.
        """
        with self._engine.connect() as connection:
            return _products(connection, [product_row(connection, code)])[0]

    def products_by_code(self, codes: Iterable[str]) -> dict[str, Product]:
        """Return the products of these codes, by code; those that no product has are left out."""
        found: dict[str, Product] = {}
        with self._engine.connect() as connection:
            for some in batched(codes, CODES_AT_ONCE):
                rows = connection.execute(
                    select(ProductRow.__table__).where(ProductRow.code.in_(some))
                ).all()
                found |= {one.code: one for one in _products(connection, rows)}
        return found

    def products_by_id(self, ids: Sequence[int]) -> list[Product]:
        """Return the products of these database ids, in their order."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(ProductRow.__table__).where(ProductRow.id.in_(ids))
            ).all()
            found = {
                row.id: product
                for row, product in zip(rows, _products(connection, rows), strict=True)
            }
        return [found[number] for number in ids]

    def with_covers(self, codes: Sequence[str]) -> list[tuple[Product, str | None]]:
        """Return the products of these codes, some hundreds at most, as in a `ProductPage`.

        In the order of the codes; those that no product has are left out.
        """
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(ProductRow.__table__).where(ProductRow.code.in_(codes))
            ).all()
            covers = _covers(connection, [row.id for row in rows])
            found = {
                row.code: (product, covers.get(row.id))
                for row, product in zip(rows, _products(connection, rows), strict=True)
            }
        return [found[code] for code in codes if code in found]

    def has_product(self, code: str) -> bool:
        """Whether a product has this code."""
        chosen = select(ProductRow.id).where(ProductRow.code == code)
        with self._engine.connect() as connection:
            return connection.scalar(chosen) is not None

    def existing(self, ids: Sequence[int]) -> set[int]:
        """Return those of these database ids, some hundreds at most, that products have."""
        with self._engine.connect() as connection:
            return set(connection.scalars(select(ProductRow.id).where(ProductRow.id.in_(ids))))

    def ids_of_codes(self) -> dict[str, int]:
        """Return the database id of every product, by its code."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(ProductRow.code, ProductRow.id)).all()
        return {row.code: row.id for row in rows}

    def ids_of_codes_among(self, codes: Sequence[str]) -> dict[str, int]:
        """Return the database ids of the products of these codes, some hundreds at most."""
        chosen = select(ProductRow.code, ProductRow.id).where(ProductRow.code.in_(codes))
        with self._engine.connect() as connection:
            return {row.code: row.id for row in connection.execute(chosen)}

    def product_kinds(self) -> dict[int, ProductKind]:
        """Return of what kind every product is, by its id."""
        chosen = select(ProductRow.id, ProductRow.brand, ProductRow.category, ProductRow.colour)
        with self._engine.connect() as connection:
            return {
                number: ProductKind(
                    self.brands.key(brand or ""),
                    (category or "").strip().lower(),
                    frozenset(re.findall(r"\w+", (colour or "").lower())),
                )
                for number, brand, category, colour in connection.execute(chosen)
            }

    def products(
        self, query: str = "", *, offset: int = 0, limit: int = 48, unfindable: bool = False
    ) -> ProductPage:
        """Return products with every word of `query` in a code or column; see `ProductSearch`.

        A brand is found under all its names. Ordered by code.

        Args:
            unfindable: only those without a photo that is searched.
        """
        with self._engine.connect() as connection:
            if query.strip():
                ids = self._search.read().find(query)
                if unfindable:
                    ids = ids[np.isin(ids, connection.scalars(_unfindable()).all())]
                total, page = len(ids), ids[offset : offset + limit].tolist()
            else:
                chosen = _unfindable() if unfindable else select(ProductRow.id)
                total = connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0
                ordered = chosen.order_by(ProductRow.code).offset(offset).limit(limit)
                page = connection.scalars(ordered).all()
            rows = connection.execute(
                select(ProductRow.__table__)
                .where(ProductRow.id.in_(page))
                .order_by(ProductRow.code)
            ).all()
            covers = _covers(connection, [row.id for row in rows])
            products = _products(connection, rows)
        return ProductPage(
            total,
            tuple(
                (product, covers.get(row.id)) for row, product in zip(rows, products, strict=True)
            ),
        )

    def photos_of(self, code: str) -> list[ProductPhoto]:
        """Return a product's photos in the order in which they came."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(
                    PhotoRow.sha256,
                    PhotoRow.width,
                    PhotoRow.height,
                    ProductPhotoRow.role,
                    ProductPhotoRow.source,
                    ProductPhotoRow.license,
                    ProductPhotoRow.id.label("link_id"),
                    ProductPhotoRow.state,
                    ProductPhotoRow.reasons,
                    ProductPhotoRow.attributes,
                )
                .join(ProductPhotoRow, ProductPhotoRow.photo_id == PhotoRow.id)
                .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
                .where(ProductRow.code == code)
                .order_by(ProductPhotoRow.id)
            ).all()
        return [ProductPhoto(**{**row._mapping, "reasons": tuple(row.reasons)}) for row in rows]

    def photo_states(self, codes: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count the photos of products, some hundreds at most, by code and state."""
        counted = (
            select(ProductRow.code, ProductPhotoRow.state, func.count())
            .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
            .where(ProductRow.code.in_(codes))
            .group_by(ProductRow.code, ProductPhotoRow.state)
        )
        found: dict[str, dict[str, int]] = {code: {} for code in codes}
        with self._engine.connect() as connection:
            for code, state, count in connection.execute(counted):
                found[code][state] = count
        return found

    def count_kept(self) -> dict[str, int]:
        """Count the kept photos of every product, by its code, in the order of codes."""
        kept = func.count(case((ProductPhotoRow.state == "kept", ProductPhotoRow.id)))
        counted = (
            select(ProductRow.code, kept)
            .outerjoin(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
            .group_by(ProductRow.code)
            .order_by(ProductRow.code)
        )
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(counted)}

    def has_photo(self, sha256: str) -> bool:
        """Whether a photo with this SHA-256 belongs to the catalogue."""
        return self.stored_photo(sha256) is not None

    def stored_photo(self, sha256: str) -> StoredPhoto | None:
        """Return the photo with this SHA-256, if there is one."""
        chosen = select(PhotoRow.id, PhotoRow.sha256, PhotoRow.width, PhotoRow.height)
        this_one = chosen.where(PhotoRow.sha256 == sha256, shows_a_product())
        with self._engine.connect() as connection:
            found = connection.execute(this_one).one_or_none()
        return None if found is None else StoredPhoto(*found)

    def describe_photo(self, sha256: str) -> str:
        """Name a stored photo in a message, by the products that it shows and its SHA-256."""
        chosen = (
            select(ProductRow.code)
            .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
            .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
            .where(PhotoRow.sha256 == sha256)
            .order_by(ProductPhotoRow.id)
        )
        with self._engine.connect() as connection:
            codes = connection.scalars(chosen).all()
        return f"photo {sha256} of {', '.join(codes)}" if codes else f"photo {sha256}"

    def photo_from(self, source_sha256: str) -> tuple[int, str] | None:
        """Return id and SHA-256 of the photo that bytes with this SHA-256 became, if any."""
        chosen = (
            select(PhotoRow.id, PhotoRow.sha256)
            .join(PhotoSourceRow, PhotoSourceRow.photo_id == PhotoRow.id)
            .where(PhotoSourceRow.source_sha256 == source_sha256)
        )
        with self._engine.connect() as connection:
            found = connection.execute(chosen).one_or_none()
        return None if found is None else (found.id, found.sha256)


def shows_a_product() -> ColumnElement[bool]:
    """Whether a photo (`PhotoRow`) belongs to a product: one that was deleted stays stored."""
    return (
        select(ProductPhotoRow.id)
        .where(ProductPhotoRow.photo_id == PhotoRow.id)
        .correlate(PhotoRow)
        .exists()
    )


def _unfindable() -> Select[int]:
    """Ids of the products without a photo that queries are compared with."""
    searched = (
        select(ProductPhotoRow.id)
        .where(
            ProductPhotoRow.product_id == ProductRow.id,
            ProductPhotoRow.state.in_(("kept", "doubtful")),
        )
        .correlate(ProductRow)
        .exists()
    )
    return select(ProductRow.id).where(~searched)


def _covers(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """First photo of each product, a kept one where there is one, as {product id: SHA-256}."""
    kept = case((ProductPhotoRow.state == "kept", ProductPhotoRow.id))
    first = (
        select(func.coalesce(func.min(kept), func.min(ProductPhotoRow.id)))
        .where(ProductPhotoRow.product_id.in_(ids))
        .group_by(ProductPhotoRow.product_id)
    )
    rows = connection.execute(
        select(ProductPhotoRow.product_id, PhotoRow.sha256)
        .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
        .where(ProductPhotoRow.id.in_(first))
    )
    return {row.product_id: row.sha256 for row in rows}


def _products(connection: Connection, rows: Sequence[Any]) -> list[Product]:
    attributes = _common_attributes(connection, [row.id for row in rows])
    return [
        Product(
            row.code,
            **{name: getattr(row, name) for name in PRODUCT_FIELDS},
            attributes=attributes.get(row.id, {}),
        )
        for row in rows
    ]


def _common_attributes(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """The attributes on which all photo rows of a product agree.

    A catalogue's further columns describe the product (material: leather) or the photo (view:
    back), and only the values tell which: what differs from photo to photo is no attribute of
    the product.
    """
    rows = connection.execute(
        select(ProductPhotoRow.product_id, ProductPhotoRow.attributes)
        .where(ProductPhotoRow.product_id.in_(ids))
        .order_by(ProductPhotoRow.id)
    )
    values_of: dict[int, dict[str, set[str]]] = {}
    for product_id, attributes in rows:
        values = values_of.setdefault(product_id, {})
        for name, value in attributes.items():
            values.setdefault(name, set()).add(value)
    return {
        product_id: {name: next(iter(v)) for name, v in values.items() if len(v) == 1}
        for product_id, values in values_of.items()
    }
