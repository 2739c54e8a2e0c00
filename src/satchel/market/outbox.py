"""Listings' steps → events for webhooks, in the transaction of the step."""

from __future__ import annotations

from sqlalchemy import Connection

from satchel.market.listings.records import Listing, ListingEvent
from satchel.market.webhooks.publish import publish
from satchel.market.webhooks.records import EVENTS


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
