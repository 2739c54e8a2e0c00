"""Listings, their photos and what happened to them, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from satchel.market.listings.fields import Grade, ProposedProduct
from satchel.market.listings.states import State, StepName
from satchel.records import Box


@dataclass(frozen=True, slots=True)
class ListingPhoto:
    """A photo of a listing; `width` and `height` in pixels, upright.

    Attributes:
        upload: the client's name of the upload.
        box: that a person drew around the good.
        asked: what an expert wanted to see on it; None for the seller's own choice.
    """

    id: int
    upload: str
    sha256: str
    width: int
    height: int
    size_bytes: int
    box: Box | None
    asked: str | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """A good that somebody wants to sell. Times are UTC, without a time zone.

    Attributes:
        public_id: by which people and programs know it.
        seller: account.
        version: counts changes.
        round: counts how often it was revised after a refusal; opinions count for one round.
        machine: the last answer of identification, as `satchel.schemas.Identification` in JSON,
            with `space`, the id of the embedding space.
        photos: the cover first.
        claimed_by: account of the expert who reviews it, until `claimed_until`.
    """

    id: int
    public_id: str
    seller: int
    state: State
    version: int
    round: int
    code: str | None
    proposed: ProposedProduct | None
    grade: Grade | None
    defects: str
    size: str
    text: str
    price_krw: int | None
    consent_gallery: bool
    machine: Mapping[str, Any] | None
    photos: tuple[ListingPhoto, ...]
    claimed_by: int | None
    claimed_until: datetime | None
    created_at: datetime
    changed_at: datetime
    submitted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListingEvent:
    """Something that happened to a listing.

    Attributes:
        actor: account; None for the system.
        step: None where fields or photos changed, in place of which `kind` says what.
    """

    id: int
    listing: str
    actor: int | None
    kind: str
    step: StepName | None
    source: State | None
    target: State
    details: Mapping[str, Any]
    at: datetime
