"""Bodies of the API of listings, the desk and the sale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from satchel.market.desk import records as desk
from satchel.market.desk.opinions import Standing
from satchel.market.desk.queue import Waiting
from satchel.market.desk.seen import SeenBefore as FoundBefore
from satchel.market.listings import records
from satchel.market.listings.fields import Grade, Line, Paragraphs, ProposedProduct
from satchel.market.listings.readings import PhotoReading
from satchel.market.listings.states import Actor, State, StepName, open_steps
from satchel.market.sale import shelf
from satchel.reading.records import ReadCode
from satchel.reading.records import Reading as FoundReading
from satchel.reading_schemas import Reading
from satchel.schemas import Facet
from satchel.web.market.schemas import Body, Time

Seconds = Annotated[
    float, Field(ge=0, le=86_400, description="Of the expert's time, for this decision.")
]
Text = Annotated[Paragraphs, Field(description="For the seller.")]


class _Converted(BaseModel):
    """Base of what has the fields of a record, and is made by `model_validate`."""

    model_config = ConfigDict(from_attributes=True)


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


class Opinion(_Converted):
    """What an expert decided."""

    expert: int = Field(description="Account.")
    kind: desk.OpinionKind
    code: str | None
    seller_code: str | None
    reason: desk.Reason | None
    text: str
    photos_asked: list[str]
    seconds: float
    at: Time


class SeenBefore(_Converted):
    """A photo of this listing that is elsewhere too."""

    photo: str = Field(description="SHA-256, of this listing.")
    other: str = Field(description="SHA-256 of the one elsewhere.")
    distance: int = Field(description="Bits of 256 in which their perceptual hashes differ.")
    listing: str | None = Field(description="The other listing.")
    state: State | None = Field(description="Of the other listing.")
    same_seller: bool
    code: str | None = Field(description="Code of the product that the catalogue shows with it.")
    source: str | None = Field(description="Where the catalogue has it from.")


class QueueEntry(BaseModel):
    """A listing in the queue."""

    listing: Listing
    opinions: int = Field(description="How many experts gave theirs in this round.")
    disputed: bool = Field(description="Whether they disagree, so that an admin decides.")
    claimed: bool = Field(description="Whether an expert has it now.")
    answered: bool = Field(
        description="Whether photos were asked for in this round, and it was submitted again."
    )

    @classmethod
    def of(cls, waiting: Waiting, actor: Actor) -> QueueEntry:
        """Convert for somebody."""
        return cls(
            listing=Listing.of(waiting.listing, actor),
            opinions=len(waiting.standing.opinions),
            disputed=waiting.standing.disputed,
            claimed=waiting.claimed,
            answered=waiting.answered,
        )


class Queue(BaseModel):
    """A page of the queue, the oldest first."""

    total: int
    waiting: list[QueueEntry]


class DeskCase(BaseModel):
    """Everything an expert needs to decide."""

    listing: Listing
    opinions: list[Opinion] = Field(
        description="Of all rounds; those of this round only once you gave yours, or to an admin "
        "who settles a dispute."
    )
    disputed: bool
    seen_before: list[SeenBefore] = Field(description="The most similar first.")
    events: list[ListingEvent]
    claimed_until: Time | None
    seller_listings: int = Field(description="How many listings the seller has, with this one.")

    @classmethod
    def of(
        cls,
        listing: records.Listing,
        actor: Actor,
        *,
        standing: Standing,
        opinions: Sequence[desk.Opinion],
        seen: Sequence[FoundBefore],
        events: Sequence[records.ListingEvent],
        seller_listings: int,
    ) -> DeskCase:
        """Convert for an expert."""
        return cls(
            listing=Listing.of(listing, actor),
            opinions=[Opinion.model_validate(one) for one in opinions],
            disputed=standing.disputed,
            seen_before=[SeenBefore.model_validate(one) for one in seen],
            events=[ListingEvent.of(one, actor) for one in events],
            claimed_until=listing.claimed_until,
            seller_listings=seller_listings,
        )


class Certifying(Body):
    """Certify a listing."""

    code: Line = Field(description="Of the product, which need not be the seller's.")
    grade: Grade | None = Field(None, description="Default: the seller's.")
    text: Text = ""
    seconds: Seconds


class Rejecting(Body):
    """Reject a listing."""

    reason: desk.Reason
    text: Text = ""
    seconds: Seconds


class AskingPhotos(Body):
    """Ask for photos."""

    photos: list[Annotated[str, Field(max_length=desk.MAX_ASKED_CHARS)]] = Field(
        min_length=1,
        max_length=desk.MAX_ASKED,
        description=f"By name ({', '.join(desk.NAMED_PHOTOS)}) or in words.",
    )
    text: Text = ""
    seconds: Seconds


class Assigning(Body):
    """Give a listing to an expert."""

    expert: int = Field(ge=0, lt=2**63, description="Account.")


class Revoking(Body):
    """Revoke a certificate."""

    why: Line


class Certificate(BaseModel):
    """A certificate; everybody who has its number may see it."""

    id: str
    holds: bool = Field(description="Whether it was neither revoked nor superseded.")
    code: str
    product: dict[str, str | None] = Field(description="As the catalogue had it.")
    grade: Grade
    experts: int = Field(description="How many experts agreed.")
    photos: list[str] = Field(description="SHA-256 of each photo that was certified.")
    issued_at: Time
    revoked_at: Time | None
    superseded_at: Time | None = Field(
        description="When its seller revised the listing, since when it no longer holds."
    )

    @classmethod
    def of(cls, certificate: desk.Certificate) -> Certificate:
        """Convert a certificate."""
        return cls(
            id=certificate.public_id,
            holds=certificate.holds,
            code=certificate.code,
            product=dict(certificate.product),
            grade=certificate.grade,
            experts=len(certificate.experts),
            photos=list(certificate.photos),
            issued_at=certificate.issued_at,
            revoked_at=certificate.revoked_at,
            superseded_at=certificate.superseded_at,
        )


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


class PriceHint(_Converted):
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


def listing_link(public_id: str) -> str:
    """Address of a listing in the API."""
    return f"/api/v1/listings/{public_id}"


def good_link(public_id: str) -> str:
    """Address of a good in the API."""
    return f"/api/v1/goods/{public_id}"
