"""Bodies of the API of the sale: goods, prices and reservations."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from satchel.market.listings import records
from satchel.market.listings.fields import Grade
from satchel.market.listings.states import State
from satchel.market.sale import shelf
from satchel.schemas import Facet
from satchel.web.market.listing_schemas import ListingPhoto
from satchel.web.market.schemas import Converted, Time


class Good(BaseModel):
    """A certified good, as everybody sees it."""

    id: str
    state: State = Field(description="on_sale, reserved or sold.")
    code: str | None
    grade: Grade | None
    defects: str
    size: str
    text: str
    price_krw: int | None
    photos: list[ListingPhoto] = Field(description="The cover first; people are blurred.")

    @classmethod
    def of(cls, listing: records.Listing) -> Good:
        """Convert a listing for everybody."""
        base = good_link(listing.public_id)
        return cls(
            id=listing.public_id,
            state=listing.state,
            code=listing.code,
            grade=listing.grade,
            defects=listing.defects,
            size=listing.size,
            text=listing.text,
            price_krw=listing.price_krw,
            photos=[ListingPhoto.of(one, f"{base}/photos/{one.sha256}") for one in listing.photos],
        )


class Goods(BaseModel):
    """A page of goods, and how many there are of each value."""

    total: int
    goods: list[Good]
    facets: list[Facet]

    @classmethod
    def of(cls, found: shelf.Goods, facets: Sequence[Facet]) -> Goods:
        """Convert goods."""
        return cls(
            total=found.total,
            goods=[Good.of(one) for one in found.listings],
            facets=list(facets),
        )


class PriceHint(Converted):
    """What goods of a product were sold for, in won."""

    sold: int
    low_krw: int = Field(description="A quarter was sold for less.")
    median_krw: int
    high_krw: int = Field(description="A quarter was sold for more.")


class Reservation(BaseModel):
    """A reservation of yours."""

    good: str
    expires_at: Time


class Reservations(BaseModel):
    """Your reservations, the first that expires first."""

    reservations: list[Reservation]


def good_link(public_id: str) -> str:
    """Address of a good in the API."""
    return f"/api/v1/goods/{public_id}"
