"""Writing products and photos, as an import does: one transaction a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, auto

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy import update as sql_update

from satchel.catalog.change_log import unused_id
from satchel.catalog.database import count_columns, increment_revision, inserted_id
from satchel.catalog.dialect import MAX_PARAMETERS, insert_or_ignore
from satchel.catalog.headers import LINK_FIELDS
from satchel.catalog.review import DECIDED
from satchel.catalog.tables import PhotoRow, PhotoSourceRow, ProductPhotoRow, ProductRow
from satchel.parallel import batched
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
        self._said = False

    def __enter__(self) -> CatalogueWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                if self._changed:
                    increment_revision(self._connection)
                if self._said:
                    count_columns(self._connection)
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
        values = {"id": unused_id(self._connection, ProductRow), "code": code, **fields}
        return inserted_id(self._connection, insert(ProductRow).values(**values))

    def set_product(self, product_id: int, fields: Mapping[str, str]) -> None:
        """Set some of a product's fields."""
        self._connection.execute(
            sql_update(ProductRow).where(ProductRow.id == product_id).values(**fields)
        )
        self._said = True

    def add_photo(self, sha256: str, width: int, height: int, size_bytes: int) -> int:
        """Return the id of the photo with this SHA-256, inserted if it is new."""
        known = self._connection.scalar(select(PhotoRow.id).where(PhotoRow.sha256 == sha256))
        if known is not None:
            return known
        values = {
            "id": unused_id(self._connection, PhotoRow),
            "sha256": sha256,
            "width": width,
            "height": height,
            "size_bytes": size_bytes,
        }
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
        empty: Collection[str] = (),
        update: bool = False,
    ) -> Linked:
        """Record that a photo shows a product.

        Args:
            product_id: of the product.
            photo_id: of the photo.
            link: role, source and license.
            attributes: the further columns.
            empty: columns that are there and have no value.
            update: let these values replace those of a link that is known, and let empty columns
                empty it. A known value stays where there is no column.
        """
        known = self._connection.scalar(
            select(ProductPhotoRow.id).where(
                ProductPhotoRow.product_id == product_id, ProductPhotoRow.photo_id == photo_id
            )
        )
        if known is not None:
            cleared = {name: None for name in LINK_FIELDS if name in empty}
            return self._update_link(
                known, {**cleared, **link}, attributes, empty=empty, update=update
            )
        self._connection.execute(
            insert(ProductPhotoRow).values(
                id=unused_id(self._connection, ProductPhotoRow),
                product_id=product_id,
                photo_id=photo_id,
                attributes=dict(attributes),
                **link,
            )
        )
        self._changed = True
        return Linked.ADDED

    def _update_link(
        self,
        link_id: int,
        link: Mapping[str, str | None],
        attributes: Mapping[str, str],
        *,
        empty: Collection[str],
        update: bool,
    ) -> Linked:
        row = ProductPhotoRow.id == link_id
        columns = [getattr(ProductPhotoRow, name) for name in ("attributes", *link)]
        before = dict(self._connection.execute(select(*columns).where(row)).one()._mapping)
        further = {name: v for name, v in before["attributes"].items() if name not in empty}
        after = {**link, "attributes": {**further, **attributes}}
        if after == before:
            return Linked.KNOWN
        if not update:
            return Linked.DIFFERS
        self._connection.execute(sql_update(ProductPhotoRow).where(row).values(**after))
        self._said = True
        return Linked.UPDATED

    def clear_fields(self, product_id: int, names: Collection[str]) -> bool:
        """Empty some of a product's fields; return whether one of them had a value."""
        columns = [getattr(ProductRow, name) for name in names]
        row = ProductRow.id == product_id
        known = self._connection.execute(select(*columns).where(row)).one()
        if all(value is None for value in known):
            return False
        self._connection.execute(
            sql_update(ProductRow).where(row).values(dict.fromkeys(names, None))
        )
        self._said = True
        return True

    def unlink_others(
        self, photos: Mapping[int, Collection[int]], keep_codes: Collection[str]
    ) -> int:
        """Remove photos from products; a photo on which a person decided stays where it is.

        Args:
            photos: photo's id → ids of the products that it stays with; at most `MAX_PARAMETERS`.
            keep_codes: products whose photos all stay.

        Returns:
            how many photos of a product were removed.
        """
        rows = self._connection.execute(
            select(
                ProductPhotoRow.id,
                ProductPhotoRow.photo_id,
                ProductPhotoRow.product_id,
                ProductPhotoRow.reasons,
                ProductRow.code,
            )
            .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
            .where(ProductPhotoRow.photo_id.in_(photos))
        ).all()
        gone = [
            row.id
            for row in rows
            if row.product_id not in photos[row.photo_id]
            and row.code not in keep_codes
            and not any(reason["kind"] == DECIDED for reason in row.reasons)
        ]
        for some in batched(gone, MAX_PARAMETERS):
            self._connection.execute(delete(ProductPhotoRow).where(ProductPhotoRow.id.in_(some)))
        self._changed = self._changed or bool(gone)
        return len(gone)
