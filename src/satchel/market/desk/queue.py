"""The queue of listings that wait for an expert; one expert at a time has one, by a lease.

A lease that ends puts the listing back: nobody waits for an expert who went home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, or_, select

from satchel.catalog.database import writing
from satchel.catalog.tables import ProductRow, now
from satchel.errors import Forbidden, StateConflict
from satchel.market.desk.opinions import (
    Standing,
    asked_rounds,
    opinions_on,
    standing_of,
    standings_of,
    with_opinion,
)
from satchel.market.desk.records import Opinion
from satchel.market.listings.changes import Outbox, as_listings, read_listing, take, write
from satchel.market.listings.records import Listing
from satchel.market.listings.states import SYSTEM, Actor, State, StepName
from satchel.market.listings.tables import ListingRow
from satchel.market.roles import Role

LEASE: Final = timedelta(minutes=30)
ASSIGNED_LEASE: Final = timedelta(hours=24)
PAGE: Final = 48
WAITING: Final = frozenset((State.SUBMITTED, State.IN_REVIEW, State.PHOTOS_ASKED))
"""States in which experts have not decided yet."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which listings of the queue are wanted; None for all.

    Attributes:
        brand: of the product that the seller chose, as the catalogue writes it.
        mine: claimed by this account.
        state: submitted or in review.
        second: whether only those are wanted on which an expert gave an opinion in this round.
    """

    brand: str | None = None
    from_krw: int | None = None
    to_krw: int | None = None
    mine: int | None = None
    state: State | None = None
    second: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A listing in the queue.

    Attributes:
        standing: the opinions so far.
        claimed: whether an expert has it now.
        answered: whether its seller was asked for photos in this round, and submitted it again.
    """

    listing: Listing
    standing: Standing
    claimed: bool
    answered: bool


class Queue:
    """Lists, claims, assigns and releases what waits for an expert."""

    def __init__(self, engine: Engine, outbox: Outbox | None = None) -> None:
        self._engine = engine
        self._outbox = outbox

    def waiting(
        self, filters: Filters | None = None, *, page: int = 1
    ) -> tuple[int, list[Waiting]]:
        """Return how many listings wait, and a page of them, the oldest first."""
        chosen = _chosen(filters or Filters())
        oldest = chosen.order_by(ListingRow.submitted_at, ListingRow.id)
        with self._engine.connect() as connection:
            total = connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            rows: Sequence[Any] = connection.execute(
                oldest.limit(PAGE).offset(PAGE * (page - 1))
            ).all()
            listings = as_listings(connection, rows)
            asked = asked_rounds(connection, [one.id for one in listings])
            standings = standings_of(connection, listings)
            return total, [
                Waiting(
                    one,
                    standings[one.id],
                    is_claimed(one),
                    answered=(one.id, one.round) in asked,
                )
                for one in listings
            ]

    def brands(self) -> list[str]:
        """Return the brands of the products that sellers chose for what waits, by name."""
        codes = _chosen(Filters()).with_only_columns(ListingRow.code)
        chosen = (
            select(ProductRow.brand)
            .where(ProductRow.code.in_(codes), ProductRow.brand.is_not(None))
            .distinct()
            .order_by(ProductRow.brand)
        )
        with self._engine.connect() as connection:
            return [str(brand) for brand in connection.scalars(chosen)]

    def standing(self, listing: Listing) -> Standing:
        """Return the opinions that count on a listing."""
        with self._engine.connect() as connection:
            return standing_of(connection, listing)

    def opinions(self, listing: Listing, actor: Actor) -> list[Opinion]:
        """Return the opinions on a listing that somebody may know, of all rounds, in their order.

        Who may still give one does not learn what others said in this round: a second opinion that
        knows the first is none. Who gave theirs does, and so does an admin who settles a dispute.
        """
        standing, opinions = self.standing(listing), opinions_on(self._engine, listing)
        if listing.state not in WAITING or standing.shown_to(actor):
            return opinions
        hidden = {one.id for one in standing.opinions}
        return [one for one in opinions if one.id not in hidden]

    def claim(self, public_id: str, actor: Actor) -> Listing:
        """Take a listing into review; who has it already keeps it for longer.

        Raises:
            UnknownListing: there is none.
            StateConflict: another expert has it, or it is not waiting.
            Forbidden: this expert gave an opinion already, or the experts disagree and only an
                admin may decide.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            until = {"claimed_by": actor.account, "claimed_until": now() + LEASE}
            if listing.state is State.IN_REVIEW:
                if listing.claimed_by == actor.account:
                    return write(connection, listing, until, actor, kind="renew")
                if is_claimed(listing):
                    raise StateConflict(
                        "another expert has this listing; take the next one of the queue",
                        state=listing.state.value,
                    )
                listing = _release(connection, listing, SYSTEM, self._outbox)
            _require_may_decide(standing_of(connection, listing), actor)
            return take(
                connection, listing, StepName.CLAIM, actor, values=until, outbox=self._outbox
            )

    def claim_next(self, actor: Actor, filters: Filters | None = None) -> Listing | None:
        """Take the oldest listing that this expert may decide; None where none waits."""
        page, seen, total = 1, 0, 1
        while seen < total:
            total, waiting = self.waiting(filters, page=page)
            if not waiting:
                return None
            for one in waiting:
                try:
                    if not one.claimed:
                        return self.claim(one.listing.public_id, actor)
                except (StateConflict, Forbidden):
                    continue  # somebody was faster, or it is for another person
            page, seen = page + 1, seen + len(waiting)
        return None

    def assign(self, public_id: str, expert: Actor, admin: Actor) -> Listing:
        """Give a waiting listing to an expert, for a day.

        Raises:
            UnknownListing, StateConflict, Forbidden: see `claim`.
        """
        if admin.role is not Role.ADMIN:
            raise Forbidden("listings are assigned by an admin")
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            if listing.state is State.IN_REVIEW and not is_claimed(listing):
                listing = _release(connection, listing, SYSTEM, self._outbox)
            _require_may_decide(standing_of(connection, listing), expert)
            until = {"claimed_by": expert.account, "claimed_until": now() + ASSIGNED_LEASE}
            details = {"assigned_by": admin.account}
            return take(
                connection,
                listing,
                StepName.CLAIM,
                expert,
                values=until,
                details=details,
                outbox=self._outbox,
            )

    def release(self, public_id: str, actor: Actor) -> Listing:
        """Put a listing back into the queue.

        Raises:
            UnknownListing: there is none.
            StateConflict: nobody reviews it.
            Forbidden: another expert does.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            if actor.role is not Role.ADMIN and listing.claimed_by not in {None, actor.account}:
                raise Forbidden("another expert has this listing; an admin can release it")
            return _release(connection, listing, actor, self._outbox)

    def release_expired(self) -> int:
        """Put back all listings whose lease has ended; return how many."""
        expired = select(ListingRow.public_id).where(
            ListingRow.state == State.IN_REVIEW.value, ListingRow.claimed_until < now()
        )
        with writing(self._engine) as connection, connection.begin():
            ids = connection.scalars(expired).all()
            for public_id in ids:
                listing = read_listing(connection, public_id)
                _release(connection, listing, SYSTEM, self._outbox)
        return len(ids)


def require_claim(listing: Listing, actor: Actor) -> None:
    """Check that this expert reviews the listing.

    Raises:
        StateConflict: nobody, or another expert does.
    """
    if listing.state is not State.IN_REVIEW or listing.claimed_by != actor.account:
        raise StateConflict(
            "expected a listing that you have claimed; claim it first",
            state=listing.state.value,
        )


def _require_may_decide(standing: Standing, actor: Actor) -> None:
    if actor.account in standing.experts:
        raise Forbidden("you gave your opinion on this listing; a second expert decides")
    if standing.disputed and actor.role is not Role.ADMIN:
        raise Forbidden("two experts disagree on this listing; an admin decides")


def _release(
    connection: Connection, listing: Listing, actor: Actor, outbox: Outbox | None
) -> Listing:
    nobody = {"claimed_by": None, "claimed_until": None}
    return take(connection, listing, StepName.RELEASE, actor, values=nobody, outbox=outbox)


def is_claimed(listing: Listing) -> bool:
    """Whether an expert has a listing now, by a lease that has not ended."""
    return (
        listing.state is State.IN_REVIEW
        and listing.claimed_until is not None
        and listing.claimed_until >= now()
    )


def _chosen(filters: Filters) -> Any:
    waiting = or_(
        ListingRow.state == State.SUBMITTED.value, ListingRow.state == State.IN_REVIEW.value
    )
    chosen = select(ListingRow.__table__).where(waiting)
    if filters.brand is not None:
        of_brand = select(ProductRow.code).where(ProductRow.brand == filters.brand)
        chosen = chosen.where(ListingRow.code.in_(of_brand))
    if filters.from_krw is not None:
        chosen = chosen.where(ListingRow.price_krw >= filters.from_krw)
    if filters.to_krw is not None:
        chosen = chosen.where(ListingRow.price_krw <= filters.to_krw)
    if filters.mine is not None:
        chosen = chosen.where(ListingRow.claimed_by == filters.mine)
    if filters.state is not None:
        chosen = chosen.where(ListingRow.state == filters.state.value)
    if filters.second:
        chosen = chosen.where(with_opinion())
    return chosen
