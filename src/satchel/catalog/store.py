"""The catalogue's database: what is asked of it and what is put into it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from satchel.catalog.curation import CurationStore
from satchel.catalog.database import by_photo_id, count_up, open_database, writing
from satchel.catalog.decisions import ReviewStore
from satchel.catalog.lookalikes import LookAlikeStore
from satchel.catalog.tables import (
    PhotoRow,
    PhotoSourceRow,
    ProductPhotoRow,
    ProductRow,
    RevisionRow,
    VectorRow,
)
from satchel.catalog.training import KeptPhoto, kept_photos
from satchel.errors import CatalogueError
from satchel.records import PRODUCT_FIELDS, Box, Product, ProductPhoto

Vector = npt.NDArray[np.float32]


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


class ProductKind(NamedTuple):
    """What look-alikes have in common, lower case; empty where the catalogue does not say.

    Attributes:
        colours: the words of its colour.
    """

    brand: str
    category: str
    colours: frozenset[str]


@dataclass(frozen=True, slots=True)
class GalleryVectors:
    """The embedded gallery, one row for each photo of each product, ordered by product.

    Attributes:
        vectors: shape (n, d), float32, each of length 1.
        products: shape (n,), int64, database ids, ascending.
        photos: shape (n, 32), uint8, SHA-256 digests.
        revision: of the catalogue when this was read.
        colours: shape (n, c), float32, each of length 1; None where they are not looked at.
    """

    vectors: npt.NDArray[np.float32]
    products: npt.NDArray[np.int64]
    photos: npt.NDArray[np.uint8]
    revision: int
    colours: npt.NDArray[np.float32] | None = None

    def described(self) -> npt.NDArray[np.float32]:
        """Vectors with their colours beside them, shape (n, d + c), as photos are asked with."""
        if self.colours is None:
            return self.vectors
        return np.hstack([self.vectors, self.colours])

    def rows(self, chosen: npt.NDArray[np.int64]) -> GalleryVectors:
        """These rows alone, in this order."""
        return GalleryVectors(
            self.vectors[chosen],
            self.products[chosen],
            self.photos[chosen],
            self.revision,
            None if self.colours is None else self.colours[chosen],
        )


class Catalogue:
    """Products, photos and vectors in one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Catalogue:
        """Open the SQLite database at `path`; see `open_database`."""
        return cls(open_database(path, create=create))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    # -- asked ------------------------------------------------------------------------------

    def revision(self) -> int:
        """Count of the changes so far that an index depends on."""
        with self._engine.connect() as connection:
            return _revision(connection)

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
            row = connection.execute(
                select(ProductRow.__table__).where(ProductRow.code == code)
            ).one_or_none()
            if row is None:
                raise CatalogueError(
                    f"no product has the code {code!r}; search the catalogue for a part of it"
                )
            return _products(connection, [row])[0]

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

    def ids_of_codes(self) -> dict[str, int]:
        """Return the database id of every product, by its code."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(ProductRow.code, ProductRow.id)).all()
        return {row.code: row.id for row in rows}

    def product_kinds(self) -> dict[int, ProductKind]:
        """Return of what kind every product is, by its id."""
        chosen = select(ProductRow.id, ProductRow.brand, ProductRow.category, ProductRow.colour)
        with self._engine.connect() as connection:
            return {
                number: ProductKind(
                    (brand or "").strip().lower(),
                    (category or "").strip().lower(),
                    frozenset(re.findall(r"\w+", (colour or "").lower())),
                )
                for number, brand, category, colour in connection.execute(chosen)
            }

    def products(self, query: str = "", *, offset: int = 0, limit: int = 48) -> ProductPage:
        """Return products whose code, brand, name, category or colour hold every word of `query`.

        Ordered by code.
        """
        matches = _matching(query)
        with self._engine.connect() as connection:
            total = connection.scalar(select(func.count()).select_from(matches.subquery())) or 0
            rows = connection.execute(
                matches.order_by(ProductRow.code).offset(offset).limit(limit)
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
                )
                .join(ProductPhotoRow, ProductPhotoRow.photo_id == PhotoRow.id)
                .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
                .where(ProductRow.code == code)
                .order_by(ProductPhotoRow.id)
            ).all()
        return [ProductPhoto(**{**row._mapping, "reasons": tuple(row.reasons)}) for row in rows]

    def has_photo(self, sha256: str) -> bool:
        """Whether a photo with this SHA-256 belongs to the catalogue."""
        with self._engine.connect() as connection:
            return (
                connection.scalar(select(PhotoRow.id).where(PhotoRow.sha256 == sha256)) is not None
            )

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

    # -- vectors ----------------------------------------------------------------------------

    def count_without_vector(self, encoder: str) -> int:
        """Count the photos that this encoder has not embedded."""
        with self._engine.connect() as connection:
            missing = _without_vector(encoder).subquery()
            return connection.scalar(select(func.count()).select_from(missing)) or 0

    def photos_without_vector(
        self, encoder: str, *, page: int = 1_000
    ) -> Iterator[tuple[int, str]]:
        """Yield (id, SHA-256) of the photos that this encoder has not embedded, by id."""
        for row in by_photo_id(self._engine, _without_vector(encoder), page):
            yield row.id, row.sha256

    def put_vectors(
        self,
        encoder: str,
        embedded: Iterable[tuple[int, Box, Vector, Vector, Vector, npt.NDArray[np.int8] | None]],
    ) -> None:
        """Keep what an encoder made of photos, at once.

        Args:
            embedded: (photo id, box, vector of all looks, vector of the first, colours, patches);
                the three before the last of length 1.
        """
        rows = [
            {
                "encoder": encoder,
                "photo_id": photo_id,
                **dict(zip(("x0", "y0", "x1", "y1"), box.xyxy, strict=True)),
                "vector": vector.astype("<f2").tobytes(),
                "whole": whole.astype("<f2").tobytes(),
                "colours": colours.astype("<f2").tobytes(),
                "patches": None if patches is None else patches.tobytes(),
            }
            for photo_id, box, vector, whole, colours, patches in embedded
        ]
        if rows:
            with writing(self._engine) as connection:
                connection.execute(insert(VectorRow).prefix_with("OR REPLACE"), rows)
                count_up(connection)
                connection.commit()

    def gallery_vectors(self, encoder: str, dimension: int) -> GalleryVectors:
        """Read the whole embedded gallery of an encoder, straight into one array.

        Dropped photos are not in the gallery, and doubtful ones only where their product has no
        kept one.
        Vectors of another length than `dimension` cannot come from this encoder and are skipped.
        """
        chosen = (
            select(ProductPhotoRow.product_id, PhotoRow.sha256, VectorRow.vector, VectorRow.colours)
            .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
            .join(
                VectorRow,
                and_(VectorRow.photo_id == PhotoRow.id, VectorRow.encoder == encoder),
            )
            .where(func.length(VectorRow.vector) == 2 * dimension)
            .where(_shown())
        )
        with self._engine.connect() as connection:  # one transaction: one state of the catalogue
            revision = _revision(connection)
            count = connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            vectors = np.empty((count, dimension), np.float32)
            products = np.empty(count, np.int64)
            photos = np.empty((count, 32), np.uint8)
            colours: list[Vector] = []
            ordered = chosen.order_by(ProductPhotoRow.product_id, ProductPhotoRow.id)
            for at, row in enumerate(
                connection.execution_options(yield_per=1_000).execute(ordered)
            ):
                products[at] = row.product_id
                photos[at] = np.frombuffer(bytes.fromhex(row.sha256), np.uint8)
                vectors[at] = np.frombuffer(row.vector, "<f2")
                colours.append(np.frombuffer(row.colours, "<f2").astype(np.float32))
        return GalleryVectors(
            vectors, products, photos, revision, np.stack(colours) if colours else None
        )

    def view_deviations(
        self, encoder: str, dimension: int, *, at_most: int
    ) -> npt.NDArray[np.float32]:
        """How the gallery's photos differ between looks: first look's vector − that of all looks.

        Returns:
            shape (n, d), float32, n ≤ `at_most`: every photo that is shown, or every second,
            third … by id.
        """
        shown = (
            select(PhotoRow.id, VectorRow.vector, VectorRow.whole)
            .join(VectorRow, and_(VectorRow.photo_id == PhotoRow.id, VectorRow.encoder == encoder))
            .join(ProductPhotoRow, ProductPhotoRow.photo_id == PhotoRow.id)
            .where(func.length(VectorRow.vector) == 2 * dimension)
            .where(func.length(VectorRow.whole) == 2 * dimension)
            .where(_shown())
            .distinct()
        )
        with self._engine.connect() as connection:
            count = connection.scalar(select(func.count()).select_from(shown.subquery())) or 0
            step = max(1, -(-count // at_most))
            rows = connection.execution_options(yield_per=1_000).execute(
                shown.order_by(PhotoRow.id)
            )
            deviations = [
                np.frombuffer(row.whole, "<f2").astype(np.float32)
                - np.frombuffer(row.vector, "<f2")
                for row in islice(rows, 0, None, step)
            ]
        return np.stack(deviations) if deviations else np.empty((0, dimension), np.float32)

    def patches(self, encoder: str, photos: Sequence[str]) -> list[bytes]:
        """Read what an encoder kept of photos' patches; empty where there is nothing.

        Args:
            photos: SHA-256 of each.
        """
        # Not by a join: SQLite would go through all of the encoder's vectors for it.
        name = select(PhotoRow.sha256).where(PhotoRow.id == VectorRow.photo_id).scalar_subquery()
        named = select(PhotoRow.id).where(PhotoRow.sha256.in_(photos))
        chosen = select(name.label("photo"), VectorRow.patches).where(
            VectorRow.encoder == encoder, VectorRow.photo_id.in_(named)
        )
        with self._engine.connect() as connection:
            found = {row.photo: row.patches for row in connection.execute(chosen)}
        return [found.get(photo) or b"" for photo in photos]

    # -- written ----------------------------------------------------------------------------

    def curation(self) -> CurationStore:
        """What curation reads and writes."""
        return CurationStore(self._engine)

    def kept_photos(self, encoder: str) -> list[KeptPhoto]:
        """Every kept photo of every product, with what training needs; see `KeptPhoto`."""
        return kept_photos(self._engine, encoder)

    def review(self) -> ReviewStore:
        """What people's review of photos reads and writes."""
        return ReviewStore(self._engine)

    def look_alikes(self) -> LookAlikeStore:
        """What is proposed and decided of products that photos cannot tell apart."""
        return LookAlikeStore(self._engine)

    def writing(self) -> CatalogueWriter:
        """Begin a transaction that holds everything written through it, or nothing."""
        return CatalogueWriter(writing(self._engine))


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
                    count_up(self._connection)
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
        return _inserted(self._connection, insert(ProductRow).values(code=code, **fields))

    def set_product(self, product_id: int, fields: Mapping[str, str]) -> None:
        """Set some of a product's fields."""
        self._connection.execute(
            update(ProductRow).where(ProductRow.id == product_id).values(**fields)
        )

    def add_photo(self, sha256: str, width: int, height: int, size_bytes: int) -> int:
        """Return the id of the photo with this SHA-256, inserted if it is new."""
        known = self._connection.scalar(select(PhotoRow.id).where(PhotoRow.sha256 == sha256))
        if known is not None:
            return known
        values = {"sha256": sha256, "width": width, "height": height, "size_bytes": size_bytes}
        return _inserted(self._connection, insert(PhotoRow).values(**values))

    def add_source(self, source_sha256: str, photo_id: int) -> None:
        """Remember which photo these received bytes became."""
        self._connection.execute(
            insert(PhotoSourceRow)
            .prefix_with("OR IGNORE")
            .values(source_sha256=source_sha256, photo_id=photo_id)
        )

    def link(
        self,
        product_id: int,
        photo_id: int,
        link: Mapping[str, str],
        attributes: Mapping[str, str],
        *,
        update: bool = False,
    ) -> bool:
        """Record that a photo shows a product; return whether anything changed.

        Args:
            product_id: of the product.
            photo_id: of the photo.
            link: role, source and license.
            attributes: the further columns.
            update: let these values replace those of a link that is known. A value that is not
                given says nothing: the known one stays.
        """
        known = self._connection.scalar(
            select(ProductPhotoRow.id).where(
                ProductPhotoRow.product_id == product_id, ProductPhotoRow.photo_id == photo_id
            )
        )
        if known is not None:
            return update and self._update_link(known, link, attributes)
        self._connection.execute(
            insert(ProductPhotoRow).values(
                product_id=product_id, photo_id=photo_id, attributes=dict(attributes), **link
            )
        )
        self._changed = True
        return True

    def _update_link(
        self, link_id: int, link: Mapping[str, str], attributes: Mapping[str, str]
    ) -> bool:
        row = ProductPhotoRow.id == link_id
        columns = [getattr(ProductPhotoRow, name) for name in ("attributes", *link)]
        before = dict(self._connection.execute(select(*columns).where(row)).one()._mapping)
        after = {**link, "attributes": {**before["attributes"], **attributes}}
        if after == before:
            return False
        self._connection.execute(update(ProductPhotoRow).where(row).values(**after))
        return True


# -- queries ----------------------------------------------------------------------------------


def _inserted(connection: Connection, statement: Any) -> int:
    key = connection.execute(statement).inserted_primary_key
    assert key is not None
    return int(key[0])


def _revision(connection: Connection) -> int:
    return connection.execute(select(RevisionRow.value)).scalar_one()


def _shown() -> ColumnElement[bool]:
    """Whether the photo of a product is one of those that items are compared with."""
    kept = aliased(ProductPhotoRow)
    has_kept = (
        select(kept.id)
        .where(kept.product_id == ProductPhotoRow.product_id, kept.state == "kept")
        .exists()
    )
    state = ProductPhotoRow.state
    return or_(state == "kept", and_(state == "doubtful", ~has_kept))


def _without_vector(encoder: str) -> Select[int, str]:
    return (
        select(PhotoRow.id, PhotoRow.sha256)
        .outerjoin(VectorRow, and_(VectorRow.photo_id == PhotoRow.id, VectorRow.encoder == encoder))
        .where(VectorRow.photo_id.is_(None))
    )


def _matching(query: str) -> Select[Any]:
    matches = select(ProductRow.__table__)
    fields = [ProductRow.code, *(getattr(ProductRow, name) for name in PRODUCT_FIELDS)]
    for word in query.split()[:8]:
        matches = matches.where(or_(*(f.icontains(word, autoescape=True) for f in fields)))
    return matches


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
    """What no two photo rows of a product disagree on.

    A catalogue's further columns describe the product (material: leather) or the photo (view:
    back), and only the values tell which: what differs from photo to photo is no attribute of
    the product.
    """
    rows = connection.execute(
        select(ProductPhotoRow.product_id, ProductPhotoRow.attributes)
        .where(ProductPhotoRow.product_id.in_(ids))
        .order_by(ProductPhotoRow.id)
    )
    seen: dict[int, dict[str, set[str]]] = {}
    for product_id, attributes in rows:
        values = seen.setdefault(product_id, {})
        for name, value in attributes.items():
            values.setdefault(name, set()).add(value)
    return {
        product_id: {name: next(iter(v)) for name, v in values.items() if len(v) == 1}
        for product_id, values in seen.items()
    }
