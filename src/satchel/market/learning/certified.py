"""Certified listings, as what the gallery and calibration learn from.

Photos of a listing are named by its source, `listing:ID`, wherever the catalogue has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Select, select

from satchel.catalog.tables import PhotoRow, ProductPhotoRow, ProductRow
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


def certified_listings(engine: Engine, *, consent: bool | None = None) -> list[Listing]:
    """Return listings whose certificate holds, the first certified first.

    Args:
        consent: only those whose seller lets the gallery have the photos, or only the others.
    """
    with engine.connect() as connection:
        return _read(connection, _certified(consent))


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


def _certified(consent: bool | None) -> Select[Any]:
    chosen = select(ListingRow.__table__).where(_state_is(CERTIFIED), ListingRow.code.is_not(None))
    if consent is not None:
        chosen = chosen.where(ListingRow.consent_gallery == consent)
    return chosen.order_by(ListingRow.id)


def _state_is(states: Sequence[State]) -> ColumnElement[bool]:
    return ListingRow.state.in_([state.value for state in states])


def _read(connection: Connection, chosen: Select[Any]) -> list[Listing]:
    result = connection.execute(chosen)
    return [
        listing
        for rows in result.partitions(READ_TOGETHER)
        for listing in as_listings(connection, rows)
    ]
