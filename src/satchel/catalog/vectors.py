"""Embeddings of photos in the database: what each encoder computed, and the gallery to search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Engine, Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from satchel.arrays import Bytes, Floats, Int8s, Ints
from satchel.catalog.database import (
    by_photo_id,
    current_revision,
    increment_revision,
    stored_photos,
    writing,
)
from satchel.catalog.dialect import insert_or_replace
from satchel.catalog.products import shows_a_product
from satchel.catalog.tables import PhotoRow, ProductPhotoRow, VectorRow
from satchel.catalog.vector_checks import remove_vectors, vector_faults
from satchel.records import Box, PhotoEmbedding, QueryView


@dataclass(frozen=True, slots=True)
class GalleryVectors:
    """The embedded gallery, one row for each photo of each product, ordered by product.

    Attributes:
        vectors: shape (n, d), float32, each of length 1.
        products: shape (n,), int64, database ids, ascending.
        photos: shape (n, 32), uint8, SHA-256 digests.
        revision: of the catalogue when this was read.
        colours: shape (n, c), float32, each of length 1; None where colours are not used.
    """

    vectors: Floats
    products: Ints
    photos: Bytes
    revision: int
    colours: Floats | None = None

    def described(self) -> Floats:
        """Vectors and colours concatenated, shape (n, d + c), like the queries'."""
        if self.colours is None:
            return self.vectors
        return np.hstack([self.vectors, self.colours])

    def rows(self, chosen: Ints) -> GalleryVectors:
        """Return these rows alone, in this order."""
        return GalleryVectors(
            self.vectors[chosen],
            self.products[chosen],
            self.photos[chosen],
            self.revision,
            None if self.colours is None else self.colours[chosen],
        )


class VectorStore:
    """Reads and writes embeddings, each under the SHA-256 of its encoder."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, space: str) -> int:
        """Count the photos that are embedded in a space."""
        own = select(func.count()).select_from(VectorRow).where(VectorRow.encoder == space)
        with self._engine.connect() as connection:
            return connection.scalar(own) or 0

    def count_missing(self, encoder: str) -> int:
        """Count the photos that this encoder has not embedded."""
        with self._engine.connect() as connection:
            missing = _missing(encoder).subquery()
            return connection.scalar(select(func.count()).select_from(missing)) or 0

    def missing(self, encoder: str, *, page: int = 1_000) -> Iterator[tuple[int, str]]:
        """Yield (id, SHA-256) of the photos that this encoder has not embedded, by id."""
        for row in by_photo_id(self._engine, _missing(encoder), page):
            yield row.id, row.sha256

    def put(
        self,
        encoder: str,
        embedded: Iterable[tuple[int, PhotoEmbedding]],
    ) -> None:
        """Store embeddings in one transaction; those of photos that were purged are dropped.

        Args:
            embedded: photo ids with their embeddings.
        """
        rows: list[dict[str, Any]] = [
            {
                "encoder": encoder,
                "photo_id": photo_id,
                **dict(zip(("x0", "y0", "x1", "y1"), photo.box.xyxy, strict=True)),
                "vector": _halves(photo.vector),
                "whole": _halves(photo.whole),
                "colours": _halves(photo.colours),
                "patches": _bytes(photo.patches),
                **_query_columns(photo.query),
            }
            for photo_id, photo in embedded
        ]
        if rows:
            with writing(self._engine) as connection:
                known = stored_photos(connection, [row["photo_id"] for row in rows])
                if rows := [row for row in rows if row["photo_id"] in known]:
                    connection.execute(insert_or_replace(VectorRow), rows)
                increment_revision(connection)
                connection.commit()

    def faults(self, space: str, dimension: int) -> Iterator[tuple[int, str, str]]:
        """See `satchel.catalog.vector_checks.vector_faults`."""
        return vector_faults(self._engine, space, dimension)

    def remove(self, space: str, photo_ids: Sequence[int]) -> None:
        """Delete photos' embeddings of a space, so that they are embedded again."""
        remove_vectors(self._engine, space, photo_ids)

    def gallery(self, encoder: str, dimension: int) -> GalleryVectors:
        """Read the whole embedded gallery of an encoder, straight into one array.

        Dropped photos are left out, and doubtful ones where their product has a kept one. Vectors
        of another length than `dimension` cannot come from this encoder and are skipped.
        """
        chosen = (
            select(ProductPhotoRow.product_id, PhotoRow.sha256, VectorRow.vector, VectorRow.colours)
            .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
            .join(VectorRow, _is_of(encoder))
            .where(func.length(VectorRow.vector) == 2 * dimension)
            .where(_searched())
        )
        with self._engine.connect() as connection:  # one transaction: one state of the catalogue
            revision = current_revision(connection)
            count = connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            vectors = np.empty((count, dimension), np.float32)
            products = np.empty(count, np.int64)
            photos = np.empty((count, 32), np.uint8)
            colours: list[Floats] = []
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

    def view_deviations(self, encoder: str, dimension: int, *, at_most: int) -> Floats:
        """Return how embeddings differ between passes: that of the first − that of all of them.

        Returns:
            shape (n, d), float32, n ≤ `at_most`: of every searched photo, or of every second,
            third … by id.
        """
        searched = (
            select(PhotoRow.id, VectorRow.vector, VectorRow.whole)
            .join(VectorRow, _is_of(encoder))
            .join(ProductPhotoRow, ProductPhotoRow.photo_id == PhotoRow.id)
            .where(func.length(VectorRow.vector) == 2 * dimension)
            .where(func.length(VectorRow.whole) == 2 * dimension)
            .where(_searched())
            .distinct()
        )
        with self._engine.connect() as connection:
            count = connection.scalar(select(func.count()).select_from(searched.subquery())) or 0
            step = max(1, -(-count // at_most))
            rows = connection.execution_options(yield_per=1_000).execute(
                searched.order_by(PhotoRow.id)
            )
            deviations = [
                np.frombuffer(row.whole, "<f2").astype(np.float32)
                - np.frombuffer(row.vector, "<f2")
                for row in islice(rows, 0, None, step)
            ]
        return np.stack(deviations) if deviations else np.empty((0, dimension), np.float32)

    def patches(self, encoder: str, photos: Sequence[str]) -> list[bytes]:
        """Read the local features of photos; empty where an encoder has none of a photo.

        Args:
            photos: SHA-256 of each.
        """
        # Not by a join: SQLite would scan all of the encoder's vectors.
        name = select(PhotoRow.sha256).where(PhotoRow.id == VectorRow.photo_id).scalar_subquery()
        named = select(PhotoRow.id).where(PhotoRow.sha256.in_(photos))
        chosen = select(name.label("photo"), VectorRow.patches).where(
            VectorRow.encoder == encoder, VectorRow.photo_id.in_(named)
        )
        with self._engine.connect() as connection:
            found = {row.photo: row.patches for row in connection.execute(chosen)}
        return [found.get(photo) or b"" for photo in photos]

    def embeddings(
        self, encoder: str, photos: Sequence[str], patch_dimension: int | None
    ) -> dict[str, PhotoEmbedding]:
        """Read the embeddings of photos, by SHA-256; photos without one are missing.

        Args:
            photos: SHA-256 of each; some hundreds at most.
            patch_dimension: length of one of the encoder's local features; None where it has none.
        """
        columns = [column for column in VectorRow.__table__.columns if column.name != "encoder"]
        chosen = (
            select(PhotoRow.sha256, *columns)
            .join(VectorRow, _is_of(encoder))
            .where(PhotoRow.sha256.in_(photos))
        )
        with self._engine.connect() as connection:
            rows = connection.execute(chosen).all()
        return {row.sha256: _embedded(row, patch_dimension) for row in rows}


def _halves(vector: Floats) -> bytes:
    return vector.astype("<f2").tobytes()


def _bytes(patches: Int8s | None) -> bytes | None:
    return None if patches is None else patches.tobytes()


def _query_columns(view: QueryView | None) -> dict[str, bytes | None]:
    return {
        "query_vector": None if view is None else _halves(view.vector),
        "query_colours": None if view is None else _halves(view.colours),
        "query_patches": None if view is None else _bytes(view.patches),
    }


def _embedded(row: Any, patch_dimension: int | None) -> PhotoEmbedding:
    def vector(data: bytes) -> Floats:
        return np.frombuffer(data, "<f2").astype(np.float32)

    def patches(data: bytes | None) -> Int8s | None:
        if not data or not patch_dimension:
            return None
        return np.frombuffer(data, np.int8).reshape(-1, patch_dimension)

    view = None
    if row.query_vector is not None:
        own = vector(row.query_vector), vector(row.query_colours)
        view = QueryView(*own, patches(row.query_patches))
    return PhotoEmbedding(
        Box(row.x0, row.y0, row.x1, row.y1),
        vector(row.vector),
        vector(row.whole),
        vector(row.colours),
        patches(row.patches),
        query=view,
    )


def _is_of(encoder: str) -> ColumnElement[bool]:
    return and_(VectorRow.photo_id == PhotoRow.id, VectorRow.encoder == encoder)


def _searched() -> ColumnElement[bool]:
    """Whether the photo of a product is one of those that queries are compared with."""
    kept = aliased(ProductPhotoRow)
    has_kept = (
        select(kept.id)
        .where(kept.product_id == ProductPhotoRow.product_id, kept.state == "kept")
        .exists()
    )
    state = ProductPhotoRow.state
    return or_(state == "kept", and_(state == "doubtful", ~has_kept))


def _missing(encoder: str) -> Select[int, str]:
    return (
        select(PhotoRow.id, PhotoRow.sha256)
        .outerjoin(VectorRow, _is_of(encoder))
        .where(VectorRow.photo_id.is_(None), shows_a_product())
    )
