"""Listings, desk and sale of one database, wired together: each step reaches the shelf and more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from satchel.catalog.brands import Brands
from satchel.market.desk.decisions import Decisions
from satchel.market.desk.queue import Queue
from satchel.market.listings.changes import Outbox
from satchel.market.listings.records import Listing, ListingEvent
from satchel.market.listings.store import ListingStore
from satchel.market.outbox import to_jobs, to_webhooks
from satchel.market.sale.reservations import Reservations
from satchel.market.sale.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Goods:
    """What is done with listings, from draft to sold.

    Attributes:
        decisions: of experts.
    """

    listings: ListingStore
    queue: Queue
    decisions: Decisions
    shelf: Shelf
    reservations: Reservations

    @classmethod
    def of(
        cls,
        engine: Engine,
        brands: Brands,
        *,
        second_from_krw: int | None = None,
        consent: str = "1",
        outboxes: Sequence[Outbox] = (),
    ) -> Goods:
        """Wire them.

        Args:
            second_from_krw: see `Decisions`.
            consent: see `ListingStore`.
            outboxes: receive every step within its transaction.
        """
        shelf = Shelf(engine, brands)
        outbox = _all((shelf.update, to_webhooks, to_jobs, *outboxes))
        return cls(
            listings=ListingStore(engine, outbox, consent=consent),
            queue=Queue(engine, outbox),
            decisions=Decisions(engine, second_from_krw, outbox),
            shelf=shelf,
            reservations=Reservations(engine, outbox),
        )


def _all(outboxes: Sequence[Outbox]) -> Outbox:
    def send(connection: Connection, listing: Listing, event: ListingEvent) -> None:
        for outbox in outboxes:
            outbox(connection, listing, event)

    return send
