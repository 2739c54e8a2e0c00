"""Training data of the catalogue: kept photos with their products, boxes and pixel digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, and_, select

from satchel.catalog.tables import (
    PhotoFiguresRow,
    PhotoRow,
    ProductPhotoRow,
    ProductRow,
    VectorRow,
)
from satchel.records import WHOLE_PHOTO, Box


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """A kept photo of a product.

    Attributes:
        attributes: the further columns of its row of the catalogue file.
        box: of the object; the whole photo where it was not embedded.
        digest: 16 bytes, equal for equal pixels; None where the photo was not measured.
    """

    code: str
    category: str | None
    sha256: str
    attributes: dict[str, Any]
    box: Box
    digest: bytes | None


def kept_photos(engine: Engine, encoder: str) -> list[KeptPhoto]:
    """Return every kept photo of every product, by code and order of arrival.

    Args:
        encoder: whose boxes are used.
    """
    box = (VectorRow.x0, VectorRow.y0, VectorRow.x1, VectorRow.y1)
    chosen = (
        select(
            ProductRow.code,
            ProductRow.category,
            PhotoRow.sha256,
            ProductPhotoRow.attributes,
            PhotoFiguresRow.pixel_digest,
            *box,
        )
        .select_from(ProductPhotoRow)
        .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
        .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
        .outerjoin(PhotoFiguresRow, PhotoFiguresRow.photo_id == PhotoRow.id)
        .outerjoin(VectorRow, and_(VectorRow.photo_id == PhotoRow.id, VectorRow.encoder == encoder))
        .where(ProductPhotoRow.state == "kept")
        .order_by(ProductRow.code, ProductPhotoRow.id)
    )
    with engine.connect() as connection:
        rows = connection.execute(chosen).all()
    return [
        KeptPhoto(
            row.code,
            row.category,
            row.sha256,
            row.attributes,
            WHOLE_PHOTO if row.x0 is None else Box(row.x0, row.y0, row.x1, row.y1),
            row.pixel_digest,
        )
        for row in rows
    ]
