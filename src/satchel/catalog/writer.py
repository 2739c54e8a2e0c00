"""Writing products and photos, as an import does: one transaction a batch."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from sqlalchemy import Connection, insert, select
from sqlalchemy import update as sql_update

from satchel.catalog.database import increment_revision, inserted_id
from satchel.catalog.dialect import insert_or_ignore
from satchel.catalog.tables import PhotoRow, PhotoSourceRow, ProductPhotoRow, ProductRow
from satchel.records import PRODUCT_FIELDS


class Linked(Enum):
    """Result of recording that a photo shows a product."""

    ADDED = auto()
    UPDATED = auto()
    KNOWN = auto()
    DIFFERS = auto()
    """Known with other values, which stay."""


class CatalogueWriter:
    """One write transaction. Leaving it without an exception commits, with one, rolls back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changed = False

    def __enter__(self) -> CatalogueWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                if self._changed:
                    increment_revision(self._connection)
                self._connection.commit()
        finally:
            self._connection.close()

    def product(self, code: str) -> tuple[int, dict[str, str | None]] | None:
        """Return a product's id and its `PRODUCT_FIELDS`, if the code is known."""
        row = self._connection.execute(
            select(ProductRow.id, *(getattr(ProductRow, name) for name in PRODUCT_FIELDS)).where(
                ProductRow.code == code
            )
        ).one_or_none()
        return None if row is None else (row[0], dict(zip(PRODUCT_FIELDS, row[1:], strict=True)))

    def add_product(self, code: str, fields: Mapping[str, str]) -> int:
        """Insert a product and return its id."""
        return inserted_id(self._connection, insert(ProductRow).values(code=code, **fields))

    def set_product(self, product_id: int, fields: Mapping[str, str]) -> None:
        """Set some of a product's fields."""
        self._connection.execute(
            sql_update(ProductRow).where(ProductRow.id == product_id).values(**fields)
        )

    def add_photo(self, sha256: str, width: int, height: int, size_bytes: int) -> int:
        """Return the id of the photo with this SHA-256, inserted if it is new."""
        known = self._connection.scalar(select(PhotoRow.id).where(PhotoRow.sha256 == sha256))
        if known is not None:
            return known
        values = {"sha256": sha256, "width": width, "height": height, "size_bytes": size_bytes}
        return inserted_id(self._connection, insert(PhotoRow).values(**values))

    def add_source(self, source_sha256: str, photo_id: int) -> None:
        """Remember which photo these received bytes became."""
        self._connection.execute(
            insert_or_ignore(PhotoSourceRow).values(source_sha256=source_sha256, photo_id=photo_id)
        )

    def link(
        self,
        product_id: int,
        photo_id: int,
        link: Mapping[str, str],
        attributes: Mapping[str, str],
        *,
        update: bool = False,
    ) -> Linked:
        """Record that a photo shows a product.

        Args:
            product_id: of the product.
            photo_id: of the photo.
            link: role, source and license.
            attributes: the further columns.
            update: let these values replace those of a link that is known. A known value stays
                where none is given.
        """
        known = self._connection.scalar(
            select(ProductPhotoRow.id).where(
                ProductPhotoRow.product_id == product_id, ProductPhotoRow.photo_id == photo_id
            )
        )
        if known is not None:
            return self._update_link(known, link, attributes, update=update)
        self._connection.execute(
            insert(ProductPhotoRow).values(
                product_id=product_id, photo_id=photo_id, attributes=dict(attributes), **link
            )
        )
        self._changed = True
        return Linked.ADDED

    def _update_link(
        self, link_id: int, link: Mapping[str, str], attributes: Mapping[str, str], *, update: bool
    ) -> Linked:
        row = ProductPhotoRow.id == link_id
        columns = [getattr(ProductPhotoRow, name) for name in ("attributes", *link)]
        before = dict(self._connection.execute(select(*columns).where(row)).one()._mapping)
        after = {**link, "attributes": {**before["attributes"], **attributes}}
        if after == before:
            return Linked.KNOWN
        if not update:
            return Linked.DIFFERS
        self._connection.execute(sql_update(ProductPhotoRow).where(row).values(**after))
        return Linked.UPDATED
