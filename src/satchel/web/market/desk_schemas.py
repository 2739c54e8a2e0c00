"""Bodies of the API of the desk: the queue, opinions, decisions and certificates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from satchel.market.desk import records as desk
from satchel.market.desk.opinions import Standing
from satchel.market.desk.queue import Waiting
from satchel.market.desk.seen import SeenBefore as FoundBefore
from satchel.market.listings import records
from satchel.market.listings.fields import Grade, Line, Paragraphs
from satchel.market.listings.states import Actor, State
from satchel.web.market.listing_schemas import Listing, ListingEvent
from satchel.web.market.schemas import Body, Converted, Time

Seconds = Annotated[
    float, Field(ge=0, le=86_400, description="Of the expert's time, for this decision.")
]
Text = Annotated[Paragraphs, Field(description="For the seller.")]


class Opinion(Converted):
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


class SeenBefore(Converted):
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
