"""Curation in the database: measurements and comparisons of photos, and the states they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    Engine,
    Select,
    and_,
    bindparam,
    case,
    func,
    select,
    update,
)
from sqlalchemy.orm import aliased

from satchel.arrays import Bools, Bytes, Floats, Ints
from satchel.catalog.database import by_photo_id, increment_revision, stored_photos, writing
from satchel.catalog.decisions import has_standing_decision
from satchel.catalog.dialect import insert_or_replace, with_json_key
from satchel.catalog.products import shows_a_product
from satchel.catalog.tables import (
    PhotoFiguresRow,
    PhotoPairRow,
    PhotoRow,
    ProductPhotoRow,
    ProductRow,
    VectorRow,
)

Pair = tuple[str, str]
"""SHA-256 of two photos, the lower first."""


@dataclass(frozen=True, slots=True)
class MeasuredPhoto:
    """Measurements of a photo's pixels.

    Attributes:
        pixel_digest: 16 bytes, equal for equal pixels.
        hash: 32 bytes, the perceptual hash.
        informative: whether the hash can be compared; see `PerceptualHash`.
        figures: see `satchel.curate.integrity.PhotoFigures`.
        content: see `satchel.curate.content.ContentFigures`.
    """

    photo_id: int
    pixel_digest: bytes
    hash: bytes
    informative: bool
    figures: dict[str, Any]
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GalleryPhotos:
    """Every measured and embedded photo of every product, by product; one entry each.

    Attributes:
        link_ids: database ids of the rows that say that a photo shows a product.
        codes: of the products.
        products: shape (n,), int64, database ids, ascending.
        decided: the state that a person gave them, or None.
        sha256: of the photos.
        size_bytes: of the photos' files.
        digests: of the photos' pixels, 16 bytes each.
        hashes: shape (n, 32), uint8.
        informative: shape (n,), bool.
        figures: of `satchel.curate.integrity.PhotoFigures`.
        contents: of `satchel.curate.content.ContentFigures`, and `mark` if it was searched for.
        sources: where the photos came from, from the catalogue file; None where it does not say.
        vectors: shape (n, d), float32, of all passes.
        whole: shape (n, d), float32, of the first pass.
        colours: shape (n, c), float32; 0 where unknown.
    """

    link_ids: list[int]
    codes: list[str]
    products: Ints
    decided: list[str | None]
    sha256: list[str]
    size_bytes: list[int]
    digests: list[bytes]
    hashes: Bytes
    informative: Bools
    figures: list[dict[str, Any]]
    contents: list[dict[str, Any]]
    sources: list[str | None]
    vectors: Floats
    whole: Floats
    colours: Floats

    def __len__(self) -> int:
        return len(self.link_ids)


@dataclass(frozen=True, slots=True)
class PhotoCounts:
    """Counts of a product's photos, and of those that people dropped."""

    photos: int
    dropped_by_people: int


class CurationStore:
    """Reads and writes measurements, comparisons and states."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count_unmeasured(self) -> int:
        """Count the photos that have no figures yet."""
        with self._engine.connect() as connection:
            unmeasured = _unmeasured().subquery()
            return connection.scalar(select(func.count()).select_from(unmeasured)) or 0

    def unmeasured(self) -> Iterator[tuple[int, str, int, int]]:
        """Yield (id, SHA-256, width, height) of the photos that have no figures, by id."""
        for row in by_photo_id(self._engine, _unmeasured(), 1_000):
            yield row.id, row.sha256, row.width, row.height

    def put_figures(self, measured: Iterable[MeasuredPhoto]) -> None:
        """Store measurements in one transaction; those of purged photos are dropped."""
        rows: list[dict[str, Any]] = [
            {
                "photo_id": photo.photo_id,
                "pixel_digest": photo.pixel_digest,
                "hash": photo.hash,
                "informative": photo.informative,
                "figures": photo.figures,
                "content": photo.content,
            }
            for photo in measured
        ]
        if rows:
            with writing(self._engine) as connection:
                known = stored_photos(connection, [row["photo_id"] for row in rows])
                if rows := [row for row in rows if row["photo_id"] in known]:
                    connection.execute(insert_or_replace(PhotoFiguresRow), rows)
                connection.commit()

    def put_content(self, key: str, values: Mapping[str, float]) -> None:
        """Add one measurement to the contents of photos.

        Args:
            key: its name.
            values: by SHA-256.
        """
        with writing(self._engine) as connection:
            for name, value in values.items():
                photo = select(PhotoRow.id).where(PhotoRow.sha256 == name).scalar_subquery()
                connection.execute(
                    update(PhotoFiguresRow)
                    .where(PhotoFiguresRow.photo_id == photo)
                    .values(content=with_json_key(PhotoFiguresRow.content, key, value))
                )
            connection.commit()

    def gallery_photos(self, encoder: str, dimension: int) -> GalleryPhotos:
        """Read every photo that is measured and embedded, whatever its state."""
        chosen = (
            select(
                ProductPhotoRow.id,
                ProductPhotoRow.product_id,
                ProductRow.code,
                case((has_standing_decision(), ProductPhotoRow.state)).label("decided"),
                PhotoRow.sha256,
                PhotoRow.size_bytes,
                PhotoFiguresRow.pixel_digest,
                PhotoFiguresRow.hash,
                PhotoFiguresRow.informative,
                PhotoFiguresRow.figures,
                PhotoFiguresRow.content,
                ProductPhotoRow.source,
                VectorRow.vector,
                VectorRow.whole,
                VectorRow.colours,
            )
            .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
            .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
            .join(PhotoFiguresRow, PhotoFiguresRow.photo_id == PhotoRow.id)
            .join(
                VectorRow,
                and_(VectorRow.photo_id == PhotoRow.id, VectorRow.encoder == encoder),
            )
            .order_by(ProductPhotoRow.product_id, ProductPhotoRow.id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(chosen).all()
        return GalleryPhotos(
            link_ids=[row.id for row in rows],
            codes=[row.code for row in rows],
            products=np.array([row.product_id for row in rows], np.int64),
            decided=[row.decided for row in rows],
            sha256=[row.sha256 for row in rows],
            size_bytes=[row.size_bytes for row in rows],
            digests=[row.pixel_digest for row in rows],
            hashes=_stacked([row.hash for row in rows], np.dtype(np.uint8), 32),
            informative=np.array([row.informative for row in rows], bool),
            figures=[row.figures for row in rows],
            contents=[row.content for row in rows],
            sources=[row.source for row in rows],
            vectors=_stacked([row.vector for row in rows], np.dtype("<f2"), dimension).astype(
                np.float32
            ),
            whole=_stacked([row.whole for row in rows], np.dtype("<f2"), dimension).astype(
                np.float32
            ),
            colours=_colours([row.colours for row in rows]),
        )

    def compared_pairs(self) -> dict[Pair, dict[str, Any]]:
        """Return the results of all comparisons, by the SHA-256 of both photos."""
        a, b = aliased(PhotoRow), aliased(PhotoRow)
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(a.sha256, b.sha256, PhotoPairRow.comparison)
                .join(a, a.id == PhotoPairRow.first_id)
                .join(b, b.id == PhotoPairRow.second_id)
            )
            return {(first, second): comparison for first, second, comparison in rows}

    def put_pairs(self, pairs: Sequence[tuple[Pair, dict[str, Any]]]) -> None:
        """Store the results of comparisons in one transaction."""
        if not pairs:
            return
        names = {name for pair, _ in pairs for name in pair}
        with writing(self._engine) as connection:
            found = connection.execute(
                select(PhotoRow.sha256, PhotoRow.id).where(PhotoRow.sha256.in_(names))
            )
            ids = {row.sha256: row.id for row in found}
            rows = [
                {"first_id": ids[first], "second_id": ids[second], "comparison": comparison}
                for (first, second), comparison in pairs
                if first in ids and second in ids  # and not purged meanwhile
            ]
            if rows:
                connection.execute(insert_or_replace(PhotoPairRow), rows)
            connection.commit()

    def set_states(self, states: Iterable[tuple[int, str, list[dict[str, Any]]]]) -> int:
        """Set state and reasons of products' photos, in one transaction.

        Photos with a person's decision keep their state, even if it was made a moment ago.

        Args:
            states: (link id, state, reasons).

        Returns:
            how many changed.
        """
        with writing(self._engine) as connection:
            before = {
                row.id: (row.state, row.reasons)
                for row in connection.execute(
                    select(
                        ProductPhotoRow.id, ProductPhotoRow.state, ProductPhotoRow.reasons
                    ).where(~has_standing_decision())
                )
            }
            changed = [
                {"link_id": link_id, "state": state, "reasons": reasons}
                for link_id, state, reasons in states
                if link_id in before and before[link_id] != (state, reasons)
            ]
            if changed:
                this_one = ProductPhotoRow.id == bindparam("link_id")
                connection.execute(update(ProductPhotoRow).where(this_one), changed)
                increment_revision(connection)
            connection.commit()
        return len(changed)

    def photo_counts(self) -> dict[str, PhotoCounts]:
        """Count the photos of every product, by code, those without any included."""
        dropped = and_(ProductPhotoRow.state == "dropped", has_standing_decision())
        counted = (
            select(
                ProductRow.code,
                func.count(ProductPhotoRow.id),
                func.coalesce(func.sum(case((dropped, 1), else_=0)), 0),
            )
            .outerjoin(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
            .group_by(ProductRow.id)
        )
        with self._engine.connect() as connection:
            return {code: PhotoCounts(*counts) for code, *counts in connection.execute(counted)}


def _unmeasured() -> Select[int, str, int, int]:
    return (
        select(PhotoRow.id, PhotoRow.sha256, PhotoRow.width, PhotoRow.height)
        .outerjoin(PhotoFiguresRow, PhotoFiguresRow.photo_id == PhotoRow.id)
        .where(PhotoFiguresRow.photo_id.is_(None), shows_a_product())
    )


def _colours(rows: Sequence[bytes]) -> Floats:
    """Return histograms, shape (n, c), float32; 0 for rows of another length than the longest."""
    longest = max(map(len, rows), default=0)
    known = [row if len(row) == longest else bytes(longest) for row in rows]
    return _stacked(known, np.dtype("<f2"), longest // 2).astype(np.float32)


def _stacked(rows: Sequence[bytes], kind: np.dtype[Any], width: int) -> npt.NDArray[Any]:
    return np.frombuffer(b"".join(rows), kind).reshape(len(rows), width)
