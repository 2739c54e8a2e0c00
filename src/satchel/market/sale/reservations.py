"""Reservations: of several buyers one gets the good, for a while.

Reserving moves the listing and writes the reservation in one transaction, so that two buyers can
never both have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Engine, func, insert, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.errors import Forbidden, StateConflict, UsageError
from satchel.market.listings.changes import Outbox, read_listing, take
from satchel.market.listings.records import Listing
from satchel.market.listings.states import SYSTEM, Actor, StepName
from satchel.market.listings.tables import ListingRow
from satchel.market.roles import Role
from satchel.market.sale.tables import ReservationRow

RESERVED_FOR: Final = timedelta(hours=24)
MAX_OPEN: Final = 5
"""Goods that one buyer may have reserved at a time."""


class Outcome(StrEnum):
    """How a reservation ended."""

    SOLD = "sold"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Reservation:
    """A buyer's claim on a listing, until `expires_at` (UTC, without a time zone)."""

    listing: str
    buyer: int
    expires_at: datetime


class Reservations:
    """Reserves goods, and ends reservations."""

    def __init__(self, engine: Engine, outbox: Outbox | None = None) -> None:
        self._engine = engine
        self._outbox = outbox

    def reserve(self, public_id: str, actor: Actor) -> Listing:
        """Reserve a good that is on sale.

        Raises:
            UnknownListing: there is none.
            StateConflict: it is not on sale: another buyer was faster, say.
            UsageError: the buyer has too many reservations.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            mine = (ReservationRow.buyer_id == actor.account) & ReservationRow.ended_at.is_(None)
            until = now() + RESERVED_FOR
            after = take(
                connection,
                listing,
                StepName.RESERVE,
                actor,
                details={"until": until.isoformat(timespec="seconds")},
                outbox=self._outbox,
            )
            if (connection.scalar(select(func.count()).where(mine)) or 0) >= MAX_OPEN:
                raise UsageError(
                    f"expected at most {MAX_OPEN} reserved goods at a time; cancel one first"
                )
            connection.execute(
                insert(ReservationRow).values(
                    listing_id=listing.id, buyer_id=actor.account, expires_at=until
                )
            )
            return after

    def cancel(self, public_id: str, actor: Actor) -> Listing:
        """Cancel a reservation, as its buyer, as the seller or as an admin.

        Raises:
            UnknownListing: there is none.
            StateConflict: the listing is not reserved.
            Forbidden: the actor is none of them.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            found = _open(connection, listing)
            allowed = {listing.seller} | ({found.buyer} if found else set())
            if actor.account not in allowed and actor.role is not Role.ADMIN:
                raise Forbidden("only its buyer, its seller or an admin may cancel a reservation")
            return end(connection, listing, Outcome.CANCELLED, actor, self._outbox)

    def sell(self, public_id: str, actor: Actor) -> Listing:
        """Mark a reserved good as sold to the buyer who reserved it.

        Raises:
            UnknownListing: there is none.
            StateConflict: it is not reserved, or the actor is not its seller.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            return end(connection, listing, Outcome.SOLD, actor, self._outbox)

    def expire(self) -> int:
        """Put goods back on sale whose reservation has expired; return how many."""
        expired = (
            select(ListingRow.public_id)
            .join(ReservationRow, ReservationRow.listing_id == ListingRow.id)
            .where(ReservationRow.ended_at.is_(None), ReservationRow.expires_at < now())
        )
        with writing(self._engine) as connection, connection.begin():
            ids = connection.scalars(expired).all()
            for public_id in ids:
                listing = read_listing(connection, public_id)
                end(connection, listing, Outcome.EXPIRED, SYSTEM, self._outbox)
        return len(ids)

    def of_listing(self, listing: Listing) -> Reservation | None:
        """Return the reservation of a listing that has not ended."""
        with self._engine.connect() as connection:
            return _open(connection, listing)

    def of_buyer(self, account: int) -> list[Reservation]:
        """Return a buyer's reservations that have not ended, the first that expires first."""
        chosen = (
            select(ReservationRow.__table__, ListingRow.public_id)
            .join(ListingRow, ListingRow.id == ReservationRow.listing_id)
            .where(ReservationRow.buyer_id == account, ReservationRow.ended_at.is_(None))
            .order_by(ReservationRow.expires_at)
        )
        with self._engine.connect() as connection:
            return [
                Reservation(row.public_id, row.buyer_id, row.expires_at)
                for row in connection.execute(chosen)
            ]


def end(
    connection: Connection,
    listing: Listing,
    outcome: Outcome,
    actor: Actor,
    outbox: Outbox | None,
) -> Listing:
    """End the reservation of a listing, which is then sold or back on sale.

    Raises:
        StateConflict: it is not reserved, or the actor may not take the step.
    """
    step = StepName.SELL if outcome is Outcome.SOLD else StepName.CANCEL_RESERVATION
    details = {"outcome": outcome.value}
    after = take(connection, listing, step, actor, details=details, outbox=outbox)
    done = connection.execute(
        update(ReservationRow)
        .where(ReservationRow.listing_id == listing.id, ReservationRow.ended_at.is_(None))
        .values(ended_at=now(), outcome=outcome.value)
    )
    if done.rowcount != 1:
        raise StateConflict("this listing has no reservation", state=listing.state.value)
    return after


def _open(connection: Connection, listing: Listing) -> Reservation | None:
    chosen = select(ReservationRow.__table__).where(
        ReservationRow.listing_id == listing.id, ReservationRow.ended_at.is_(None)
    )
    row = connection.execute(chosen).one_or_none()
    return None if row is None else Reservation(listing.public_id, row.buyer_id, row.expires_at)
