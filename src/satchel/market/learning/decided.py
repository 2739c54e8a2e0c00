"""Listings that experts decided, as what gallery, calibration and training learn from.

Photos of a listing are named by its source, `listing:ID`, wherever the catalogue has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, exists, func, select

from satchel.catalog.tables import PhotoRow, ProductPhotoRow, ProductRow
from satchel.market.desk.records import OpinionKind, Reason
from satchel.market.desk.tables import HOLDS, CertificateRow, OpinionRow
from satchel.market.listings.changes import as_listings
from satchel.market.listings.records import Listing
from satchel.market.listings.states import State
from satchel.market.listings.tables import ListingRow

CERTIFIED: Final = (State.CERTIFIED, State.ON_SALE, State.RESERVED, State.SOLD, State.RETURNED)
SOURCE: Final = "listing:"
READ_TOGETHER: Final = 200


@dataclass(frozen=True, slots=True)
class TakenPhoto:
    """A photo of a listing that the catalogue shows with a product.

    Attributes:
        listing: public id.
    """

    listing: str
    code: str
    sha256: str


def certified_listings(engine: Engine) -> list[Listing]:
    """Return listings whose certificate holds and whose sellers let the photos help, by age."""
    chosen = _helping(CERTIFIED).where(
        ListingRow.code.is_not(None),
        exists().where(CertificateRow.listing_id == ListingRow.id, HOLDS),
    )
    with engine.connect() as connection:
        return _read(connection, chosen)


def absent_listings(engine: Engine) -> list[Listing]:
    """Return rejected listings of goods that the catalogue does not have, by the last opinion.

    Only those whose sellers let the photos help, by age.
    """
    last = (
        select(func.max(OpinionRow.id))
        .where(OpinionRow.kind != OpinionKind.ASK_PHOTOS.value)
        .group_by(OpinionRow.listing_id)
    )
    absent = select(OpinionRow.listing_id).where(
        OpinionRow.id.in_(last), OpinionRow.reason == Reason.NOT_IN_CATALOGUE.value
    )
    chosen = _helping((State.REJECTED,)).where(ListingRow.id.in_(absent))
    with engine.connect() as connection:
        return _read(connection, chosen)


def taken_photos(engine: Engine) -> list[TakenPhoto]:
    """Return the photos of listings that the catalogue has."""
    chosen = (
        select(ProductPhotoRow.source, ProductRow.code, PhotoRow.sha256)
        .join(ProductRow, ProductRow.id == ProductPhotoRow.product_id)
        .join(PhotoRow, PhotoRow.id == ProductPhotoRow.photo_id)
        .where(ProductPhotoRow.source.startswith(SOURCE, autoescape=True))
        .order_by(ProductPhotoRow.id)
    )
    with engine.connect() as connection:
        return [
            TakenPhoto((source or "").removeprefix(SOURCE), code, sha256)
            for source, code, sha256 in connection.execute(chosen)
        ]


def _helping(states: Sequence[State]) -> Select[Any]:
    """Listings in these states whose sellers let the photos help."""
    return (
        select(ListingRow.__table__)
        .where(ListingRow.state.in_([state.value for state in states]))
        .where(ListingRow.consent_gallery)
        .order_by(ListingRow.id)
    )


def _read(connection: Connection, chosen: Select[Any]) -> list[Listing]:
    result = connection.execute(chosen)
    return [
        listing
        for rows in result.partitions(READ_TOGETHER)
        for listing in as_listings(connection, rows)
    ]
