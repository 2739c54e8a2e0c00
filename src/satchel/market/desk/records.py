"""Opinions and certificates, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from satchel.market.listings.fields import Grade


class OpinionKind(StrEnum):
    """What an expert decides."""

    CERTIFY = "certify"
    REJECT = "reject"
    ASK_PHOTOS = "ask_photos"


class Reason(StrEnum):
    """Why a listing is rejected."""

    COUNTERFEIT = "counterfeit"
    NOT_ENOUGH_SHOWN = "not_enough_shown"
    OTHER_GOOD = "other_good"
    ALTERED = "altered"
    WRONG_DESCRIPTION = "wrong_description"
    NOT_OUR_RANGE = "not_our_range"
    NOT_IN_CATALOGUE = "not_in_catalogue"
    ON_SALE_TWICE = "on_sale_twice"
    OTHER = "other"


NAMED_PHOTOS: Final = (
    "inside_tag",
    "date_code",
    "serial_number",
    "strap_base_left",
    "strap_base_right",
    "hardware",
    "zipper",
    "stitching",
    "corners",
    "sole",
    "case_back",
    "box_and_papers",
    "receipt",
    "defect",
)
"""Photos that an expert can ask for by name; anything else is asked for in words."""

MAX_ASKED: Final = 8
MAX_ASKED_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an expert decided about a listing.

    Attributes:
        listing: public id.
        code: certified.
        seller_code: the seller's choice by then.
        machine: what identification had said by then.
        seconds: of the expert's time.
        photos_asked: of `NAMED_PHOTOS`, or in words.
    """

    id: int
    listing: str
    expert: int
    kind: OpinionKind
    code: str | None
    seller_code: str | None
    reason: Reason | None
    text: str
    photos_asked: tuple[str, ...]
    machine: Mapping[str, Any] | None
    seconds: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, as it was issued.

    Attributes:
        product: brand, name, category, colour and size by then.
        photos: SHA-256 of each.
        experts: accounts, in the order of their opinions.
        revoked_why: None where it was not revoked.
        superseded_at: when its seller revised the listing; None where it was not revised.
    """

    public_id: str
    listing: str
    code: str
    product: Mapping[str, str | None]
    grade: Grade
    photos: tuple[str, ...]
    experts: tuple[int, ...]
    issued_at: datetime
    revoked_at: datetime | None
    revoked_why: str | None
    superseded_at: datetime | None = None

    @property
    def holds(self) -> bool:
        """Whether it was not revoked, nor its listing revised since."""
        return self.revoked_at is None and self.superseded_at is None
