"""Bodies of the API of listings: photos, what is read on them, and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from satchel.market.listings import records
from satchel.market.listings.fields import Grade, ProposedProduct
from satchel.market.listings.readings import PhotoReading
from satchel.market.listings.states import Actor, State, StepName, open_steps
from satchel.reading.records import ReadCode
from satchel.reading.records import Reading as FoundReading
from satchel.reading_schemas import Reading
from satchel.web.market.schemas import Body, Time


class Consent(Body):
    """Whether the catalogue may have a listing's photos."""

    given: bool


class ListingPhoto(BaseModel):
    """A photo of a listing."""

    sha256: str
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    box: list[float] | None = Field(description="x0, y0, x1, y1 around the good, in [0, 1].")
    asked: str | None = Field(description="What an expert wanted to see on it.")
    photo: str = Field(description="Its address.")

    @classmethod
    def of(cls, photo: records.ListingPhoto, address: str) -> ListingPhoto:
        """Convert a photo."""
        return cls(
            sha256=photo.sha256,
            width=photo.width,
            height=photo.height,
            box=None if photo.box is None else list(photo.box.xyxy),
            asked=photo.asked,
            photo=address,
        )


class Listing(BaseModel):
    """A listing, as its seller and the experts see it."""

    id: str
    state: State
    version: int = Field(
        description="Counts changes; send it along, as the query parameter `version`, to change "
        "only what you have seen."
    )
    steps: list[StepName] = Field(description="What you may do with it now.")
    code: str | None = Field(description="The product's code, as chosen or certified.")
    proposed: ProposedProduct | None = Field(description="A product the catalogue does not have.")
    grade: Grade | None
    defects: str
    size: str
    text: str
    price_krw: int | None
    consent_gallery: bool
    photos: list[ListingPhoto] = Field(description="The cover first.")
    machine: dict[str, Any] | None = Field(description="What identification said last.")
    created_at: Time
    changed_at: Time
    submitted_at: Time | None

    @classmethod
    def of(cls, listing: records.Listing, actor: Actor) -> Listing:
        """Convert a listing for somebody."""
        base = listing_link(listing.public_id)
        return cls(
            id=listing.public_id,
            state=listing.state,
            version=listing.version,
            steps=open_steps(listing.state, actor, listing.seller),
            code=listing.code,
            proposed=listing.proposed,
            grade=listing.grade,
            defects=listing.defects,
            size=listing.size,
            text=listing.text,
            price_krw=listing.price_krw,
            consent_gallery=listing.consent_gallery,
            photos=[ListingPhoto.of(one, f"{base}/photos/{one.sha256}") for one in listing.photos],
            machine=None if listing.machine is None else dict(listing.machine),
            created_at=listing.created_at,
            changed_at=listing.changed_at,
            submitted_at=listing.submitted_at,
        )


class Listings(BaseModel):
    """A page of listings."""

    total: int
    listings: list[Listing]

    @classmethod
    def of(cls, total: int, found: Sequence[records.Listing], actor: Actor) -> Listings:
        """Convert listings for somebody."""
        return cls(total=total, listings=[Listing.of(one, actor) for one in found])


class PhotoRead(BaseModel):
    """What is written on one photo of a listing."""

    sha256: str
    reading: Reading | None = Field(
        description="Texts, and the codes of the catalogue that they may be: read, not seen. null "
        "as long as the photo was not read."
    )
    problem: str | None = Field(description="Why the photo cannot be read.")

    @classmethod
    def of(cls, one: PhotoReading, codes: Sequence[ReadCode]) -> PhotoRead:
        """Convert what was read on a photo, with the codes that were found in it."""
        reading = None
        if one.texts is not None:
            reading = Reading.of(FoundReading(one.texts, tuple(codes)))
        return cls(sha256=one.sha256, reading=reading, problem=one.fault)


class Readings(BaseModel):
    """What is written on the photos of a listing."""

    available: bool = Field(description="Whether photos are read here: the extra is installed.")
    photos: list[PhotoRead] = Field(description="The cover first.")


class PhotoOrder(Body):
    """The order of the photos; the first is the cover."""

    photos: list[Annotated[str, Field(max_length=64)]] = Field(
        max_length=64, description="SHA-256 of each photo, once."
    )


class GivenBox(Body):
    """A box around the good."""

    box: str | None = Field(
        max_length=200, description="`x0,y0,x1,y1` as in `/api/v1/identify`; null for none."
    )


class ListingEvent(BaseModel):
    """Something that happened to a listing."""

    kind: str = Field(description="A step, or what was changed.")
    source: State | None
    target: State
    by_you: bool
    details: dict[str, Any]
    at: Time

    @classmethod
    def of(cls, event: records.ListingEvent, actor: Actor) -> ListingEvent:
        """Convert an event for somebody."""
        return cls(
            kind=event.kind,
            source=event.source,
            target=event.target,
            by_you=event.actor == actor.account,
            details=dict(event.details),
            at=event.at,
        )


def listing_link(public_id: str) -> str:
    """Address of a listing in the API."""
    return f"/api/v1/listings/{public_id}"
