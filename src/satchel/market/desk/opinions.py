"""Opinions on a listing: how they are recorded, and what follows from several of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, exists, insert, select

from satchel.catalog.database import inserted_id
from satchel.market.desk.records import Opinion, OpinionKind, Reason
from satchel.market.desk.tables import OpinionRow
from satchel.market.listings.records import Listing
from satchel.market.listings.states import Actor
from satchel.market.listings.tables import ListingRow
from satchel.market.roles import Role


@dataclass(frozen=True, slots=True)
class Standing:
    """The opinions of the current round on whether a listing is right, the first one first."""

    opinions: tuple[Opinion, ...]

    @property
    def experts(self) -> frozenset[int]:
        """Accounts that gave one."""
        return frozenset(one.expert for one in self.opinions)

    @property
    def disputed(self) -> bool:
        """Whether two of them differ, in kind or in code."""
        return len({(one.kind, one.code) for one in self.opinions}) > 1

    def shown_to(self, actor: Actor) -> bool:
        """Whether somebody may know these opinions while the listing is not decided."""
        settles = self.disputed and actor.role is Role.ADMIN
        return settles or actor.account in self.experts


def standing_of(connection: Connection, listing: Listing) -> Standing:
    """Return the opinions that count on a listing."""
    return standings_of(connection, [listing])[listing.id]


def standings_of(connection: Connection, listings: Sequence[Listing]) -> dict[int, Standing]:
    """Return the opinions that count on listings, by the listings' database ids."""
    rounds = {one.id: one.round for one in listings}
    chosen = (
        _with_listing()
        .where(OpinionRow.listing_id.in_(rounds), OpinionRow.kind != OpinionKind.ASK_PHOTOS.value)
        .order_by(OpinionRow.id)
    )
    found: dict[int, list[Opinion]] = {listing: [] for listing in rounds}
    for row in connection.execute(chosen):
        if row.round == rounds[row.listing_id]:
            found[row.listing_id].append(_opinion(row))
    return {listing: Standing(tuple(opinions)) for listing, opinions in found.items()}


def with_opinion() -> ColumnElement[bool]:
    """The condition that a listing has an opinion that counts, as `standing_of` finds it."""
    return exists().where(
        OpinionRow.listing_id == ListingRow.id,
        OpinionRow.round == ListingRow.round,
        OpinionRow.kind != OpinionKind.ASK_PHOTOS.value,
    )


def record(
    connection: Connection,
    listing: Listing,
    expert: int,
    kind: OpinionKind,
    *,
    seconds: float,
    code: str | None = None,
    reason: Reason | None = None,
    text: str = "",
    photos_asked: Sequence[str] = (),
) -> int:
    """Write an opinion, with what seller and machine had said; return its id."""
    machine = listing.machine
    return inserted_id(
        connection,
        insert(OpinionRow).values(
            listing_id=listing.id,
            round=listing.round,
            expert_id=expert,
            kind=kind.value,
            code=code,
            seller_code=listing.code,
            reason=None if reason is None else reason.value,
            text=text,
            photos_asked=list(photos_asked) or None,
            machine=None if machine is None else dict(machine),
            space=None if machine is None else machine.get("space"),
            seconds=seconds,
        ),
    )


def asked_rounds(connection: Connection, listings: Sequence[int]) -> set[tuple[int, int]]:
    """Return listings and rounds in which photos were asked for, of these listings."""
    chosen = select(OpinionRow.listing_id, OpinionRow.round).where(
        OpinionRow.listing_id.in_(listings), OpinionRow.kind == OpinionKind.ASK_PHOTOS.value
    )
    return {(row.listing_id, row.round) for row in connection.execute(chosen)}


def opinions_on(engine: Engine, listing: Listing) -> list[Opinion]:
    """Return every opinion on a listing, of all rounds, the first one first."""
    chosen = _with_listing().where(OpinionRow.listing_id == listing.id).order_by(OpinionRow.id)
    with engine.connect() as connection:
        return [_opinion(row) for row in connection.execute(chosen)]


def _with_listing() -> Any:
    return select(OpinionRow.__table__, ListingRow.public_id).join(
        ListingRow, ListingRow.id == OpinionRow.listing_id
    )


def _opinion(row: Any) -> Opinion:
    return Opinion(
        id=row.id,
        listing=row.public_id,
        expert=row.expert_id,
        kind=OpinionKind(row.kind),
        code=row.code,
        seller_code=row.seller_code,
        reason=Reason(row.reason) if row.reason else None,
        text=row.text,
        photos_asked=tuple(row.photos_asked or ()),
        machine=row.machine,
        seconds=row.seconds,
        at=row.at,
    )
