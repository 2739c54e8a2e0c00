"""Listings' steps → webhooks and jobs, in the transaction of the step."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from satchel.jobs.queue import enqueue
from satchel.market.desk.decisions import REVOKED
from satchel.market.listings.records import Listing, ListingEvent
from satchel.market.listings.states import StepName
from satchel.market.listings.store import AGREE
from satchel.market.sale.reservations import RESERVED_FOR
from satchel.market.sale.search_mails import MATCH
from satchel.market.webhooks.publish import publish
from satchel.market.webhooks.records import EVENTS

TAKE_PHOTOS: Final = "take_photos"
"""Kind of the job by which the gallery gets what was certified, and loses what was revoked."""

PREPARE_PHOTOS: Final = "prepare_photos"
"""Kind of the job that makes the photos of a listing that everybody sees."""

EXPIRE: Final = "expire_reservations"
"""Kind of the job that puts goods back on sale."""


def to_jobs(connection: Connection, listing: Listing, event: ListingEvent) -> None:
    """Queue what follows from a step."""
    if event.step in {StepName.CERTIFY, StepName.REVOKE} or event.kind in {AGREE, REVOKED}:
        enqueue(connection, TAKE_PHOTOS, {}, unique_key=TAKE_PHOTOS)
    elif event.step is StepName.OFFER:
        key = f"{PREPARE_PHOTOS}:{listing.public_id}"
        enqueue(connection, PREPARE_PHOTOS, {"listing": listing.public_id}, unique_key=key)
        key = f"{MATCH}:{listing.public_id}"
        enqueue(connection, MATCH, {"listing": listing.public_id}, unique_key=key)
    elif event.step is StepName.RESERVE:
        key = f"{EXPIRE}:{event.id}"
        enqueue(connection, EXPIRE, {}, unique_key=key, delay=RESERVED_FOR + timedelta(seconds=1))


def to_webhooks(connection: Connection, listing: Listing, event: ListingEvent) -> None:
    """Publish the state that a listing comes into; what the seller wrote is left out."""
    name = f"listing.{listing.state.value}"
    if event.source is listing.state or name not in EVENTS:
        return
    data = {
        "listing": listing.public_id,
        "state": listing.state.value,
        "step": event.kind,
        "event": event.id,
        "code": listing.code,
        "price_krw": listing.price_krw,
    }
    publish(connection, name, data)
