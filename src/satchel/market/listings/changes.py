"""Reading and changing one listing inside a transaction; every change is also an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from satchel.catalog.database import inserted_id
from satchel.catalog.tables import now
from satchel.errors import StateConflict, UnknownListing
from satchel.market.listings.fields import Grade, ProposedProduct
from satchel.market.listings.records import Listing, ListingEvent, ListingPhoto
from satchel.market.listings.states import STEPS, Actor, State, StepName, parts
from satchel.market.listings.tables import ListingEventRow, ListingPhotoRow, ListingRow
from satchel.records import Box

Outbox = Callable[[Connection, Listing, ListingEvent], None]
"""Receives every event within its transaction: webhooks, mail, the audit log."""


def read_listing(connection: Connection, public_id: str) -> Listing:
    """Return the listing of this public id.

    Raises:
        UnknownListing: there is none.
    """
    chosen = select(ListingRow.__table__).where(ListingRow.public_id == public_id)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise UnknownListing(f"there is no listing {public_id!r}; its address may be mistyped")
    return as_listings(connection, [row])[0]


def as_listings(connection: Connection, rows: Sequence[Any]) -> list[Listing]:
    """Convert rows of `ListingRow`, some hundreds at most, with their photos."""
    photos: dict[int, list[ListingPhoto]] = {row.id: [] for row in rows}
    chosen = (
        select(ListingPhotoRow.__table__)
        .where(ListingPhotoRow.listing_id.in_(photos))
        .order_by(ListingPhotoRow.position, ListingPhotoRow.id)
    )
    for photo in connection.execute(chosen):
        photos[photo.listing_id].append(_photo(photo))
    return [_listing(row, photos[row.id]) for row in rows]


def take(
    connection: Connection,
    listing: Listing,
    name: StepName,
    actor: Actor,
    *,
    values: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    outbox: Outbox | None = None,
) -> Listing:
    """Take a step, and return the listing as it is then.

    Args:
        values: columns that change with it.
        details: kept with the event.

    Raises:
        StateConflict: the step does not start in the listing's state, the actor may not take it,
            or somebody changed the listing meanwhile.
    """
    step = STEPS[name]
    if listing.state not in step.sources:
        raise StateConflict(
            f"{_words(name)} is possible from {_or(sorted(step.sources))}; "
            f"this listing is {_words(listing.state)}",
            state=listing.state.value,
        )
    if not parts(actor, listing.seller) & step.by:
        raise StateConflict(
            f"{_words(name)} is for {_or(sorted(step.by))} of a listing",
            state=listing.state.value,
        )
    changed = {"state": step.target.value, **(values or {})}
    return write(
        connection, listing, changed, actor, kind=name.value, details=details, outbox=outbox
    )


def write(
    connection: Connection,
    listing: Listing,
    values: Mapping[str, Any],
    actor: Actor,
    *,
    kind: str,
    details: Mapping[str, Any] | None = None,
    outbox: Outbox | None = None,
) -> Listing:
    """Set columns of a listing and record the event; return the listing as it is then.

    Raises:
        StateConflict: somebody changed the listing since it was read.
    """
    done = connection.execute(
        update(ListingRow)
        .where(ListingRow.id == listing.id, ListingRow.version == listing.version)
        .values(version=listing.version + 1, changed_at=now(), **values)
    )
    if done.rowcount != 1:
        raise StateConflict(
            "somebody else changed this listing just now; reload it and try again",
            state=listing.state.value,
        )
    target = values.get("state", listing.state.value)
    row = {
        "listing_id": listing.id,
        "actor_id": actor.account,
        "kind": kind,
        "from_state": listing.state.value,
        "to_state": target,
        "details": dict(details or {}),
        "at": now(),
    }
    number = inserted_id(connection, insert(ListingEventRow).values(**row))
    after = read_listing(connection, listing.public_id)
    if outbox is not None:
        outbox(connection, after, _event(number, listing.public_id, row))
    return after


def events_of(connection: Connection, listing: Listing) -> list[ListingEvent]:
    """Return what happened to a listing, the first event first."""
    chosen = (
        select(ListingEventRow.__table__)
        .where(ListingEventRow.listing_id == listing.id)
        .order_by(ListingEventRow.id)
    )
    rows = connection.execute(chosen).mappings()
    return [_event(row["id"], listing.public_id, row) for row in rows]


def _event(number: int, public_id: str, row: Mapping[Any, Any]) -> ListingEvent:
    kind = row["kind"]
    return ListingEvent(
        id=number,
        listing=public_id,
        actor=row["actor_id"],
        kind=kind,
        step=StepName(kind) if kind in frozenset(StepName) else None,
        source=State(row["from_state"]) if row["from_state"] else None,
        target=State(row["to_state"]),
        details=row["details"],
        at=row["at"],
    )


def _listing(row: Any, photos: Sequence[ListingPhoto]) -> Listing:
    return Listing(
        id=row.id,
        public_id=row.public_id,
        seller=row.seller_id,
        state=State(row.state),
        version=row.version,
        round=row.round,
        code=row.code,
        proposed=ProposedProduct.model_validate(row.proposed) if row.proposed else None,
        grade=Grade(row.grade) if row.grade else None,
        defects=row.defects,
        size=row.size,
        text=row.text,
        price_krw=row.price_krw,
        consent_gallery=row.consent_gallery,
        machine=row.machine,
        photos=tuple(photos),
        claimed_by=row.claimed_by,
        claimed_until=row.claimed_until,
        created_at=row.created_at,
        changed_at=row.changed_at,
        submitted_at=row.submitted_at,
    )


def _photo(row: Any) -> ListingPhoto:
    return ListingPhoto(
        id=row.id,
        upload=row.upload,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        size_bytes=row.size_bytes,
        box=Box(*row.box) if row.box else None,
        asked=row.asked,
        hash=row.hash,
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _or(names: Sequence[str]) -> str:
    *first, last = (_words(name) for name in names)
    return f"{', '.join(first)} or {last}" if first else last
