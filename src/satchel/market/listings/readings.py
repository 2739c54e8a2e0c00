"""What is written on the photos of listings: tags, boxes, receipts, date stamps and barcodes.

Photos are read by a job, once; codes are found in the texts when they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, insert, select

from satchel.catalog.database import writing
from satchel.market.listings.records import Listing
from satchel.market.listings.tables import ListingPhotoRow, ListingRow, PhotoReadingRow
from satchel.reading.records import ReadText
from satchel.records import Box

READ_PHOTOS: Final = "read_photos"
"""Kind of the job that reads the photos of a listing."""


@dataclass(frozen=True, slots=True)
class PhotoReading:
    """What is written on one photo of a listing.

    Attributes:
        texts: None where it was not read yet.
        fault: why it cannot be read; None where it can.
        added_at: when the photo came; UTC, without a time zone.
    """

    sha256: str
    texts: tuple[ReadText, ...] | None
    fault: str | None
    added_at: datetime


class PhotoReadings:
    """Reads and writes what is written on photos."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, listing: Listing) -> list[PhotoReading]:
        """Return what is written on the photos of a listing, in their order."""
        chosen = (
            select(
                ListingPhotoRow.sha256,
                ListingPhotoRow.added_at,
                PhotoReadingRow.texts,
                PhotoReadingRow.fault,
            )
            .join(PhotoReadingRow, PhotoReadingRow.photo_id == ListingPhotoRow.id, isouter=True)
            .where(ListingPhotoRow.listing_id == listing.id)
            .order_by(ListingPhotoRow.position, ListingPhotoRow.id)
        )
        with self._engine.connect() as connection:
            return [
                PhotoReading(
                    row.sha256,
                    None if row.texts is None else tuple(map(_text, row.texts)),
                    row.fault,
                    row.added_at,
                )
                for row in connection.execute(chosen)
            ]

    def unread(self, public_id: str) -> list[tuple[int, str]]:
        """Return id and SHA-256 of the photos of a listing that were not read yet."""
        read = select(PhotoReadingRow.photo_id)
        chosen = (
            select(ListingPhotoRow.id, ListingPhotoRow.sha256)
            .join(ListingRow, ListingRow.id == ListingPhotoRow.listing_id)
            .where(ListingRow.public_id == public_id, ListingPhotoRow.id.not_in(read))
            .order_by(ListingPhotoRow.id)
        )
        with self._engine.connect() as connection:
            return [(row.id, row.sha256) for row in connection.execute(chosen)]

    def save(self, photo_id: int, texts: Sequence[ReadText], fault: str | None = None) -> None:
        """Keep what is written on a photo, unless it is gone or was read meanwhile."""
        there = select(ListingPhotoRow.id).where(ListingPhotoRow.id == photo_id)
        read = select(PhotoReadingRow.photo_id).where(PhotoReadingRow.photo_id == photo_id)
        row = {"photo_id": photo_id, "texts": [_plain(text) for text in texts], "fault": fault}
        with writing(self._engine) as connection, connection.begin():
            if connection.scalar(there) is not None and connection.scalar(read) is None:
                connection.execute(insert(PhotoReadingRow).values(**row))


def _plain(text: ReadText) -> dict[str, Any]:
    return {
        "text": text.text,
        "box": list(text.box.xyxy),
        "score": text.score,
        "barcode": text.barcode,
    }


def _text(plain: dict[str, Any]) -> ReadText:
    return ReadText(plain["text"], Box(*plain["box"]), plain["score"], plain["barcode"])
