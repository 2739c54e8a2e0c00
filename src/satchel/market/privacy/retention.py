"""How long data is kept: what is over its time is deleted, once a day.

Of goods that were certified, what their certificates name stays; e-mails and webhooks go with their
jobs (`[jobs]`). Each listing is a transaction of its own: a kill leaves the rest for the next time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, and_, delete, exists, or_, select

from satchel.catalog.database import writing
from satchel.catalog.dialect import deletable
from satchel.market.accounts.audit import record
from satchel.market.accounts.tables import AccountTokenRow, AuditRow, SessionRow
from satchel.market.desk.tables import CertificateRow
from satchel.market.listings.changes import Outbox, read_listing, take
from satchel.market.listings.states import SYSTEM, State, StepName
from satchel.market.listings.tables import ListingPhotoRow, ListingRow, PhotoReadingRow
from satchel.market.privacy.emptying import empty_listing
from satchel.market_settings import Keep

REMOVE_OLD: Final = "remove_old"
"""Kind of the job that deletes what is over its time."""

CLOSED: Final = (State.REJECTED.value, State.WITHDRAWN.value)


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted.

    Attributes:
        drafts: that were withdrawn and emptied.
        closed: rejected and withdrawn listings that were emptied.
        photos: SHA-256 of photos whose files may be removed, unless others show them too.
        sessions, tokens, audit: rows.
    """

    drafts: int
    closed: int
    photos: Sequence[str]
    sessions: int
    tokens: int
    audit: int


def remove_old(
    engine: Engine, keep: Keep, at: datetime, *, outbox: Outbox | None = None
) -> Removed:
    """Delete what is over its time.

    Args:
        at: the time now, in UTC.
        outbox: receives the withdrawal of each draft.

    Raises:
        StorageError: the database cannot be written.
    """
    photos: list[str] = []
    drafts = _ids(engine, *_old_drafts(at - timedelta(days=keep.draft_days)))
    for public_id in drafts:
        with writing(engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            if listing.state is State.DRAFT:  # else submitted just now
                listing = take(connection, listing, StepName.WITHDRAW, SYSTEM, outbox=outbox)
                photos += empty_listing(
                    connection, listing, certified=_certified(connection, listing.id)
                )
    closed = _ids(engine, *_old_closed(at - timedelta(days=keep.closed_days)))
    for public_id in closed:
        with writing(engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            if listing.state.value in CLOSED:  # else revised just now
                photos += empty_listing(
                    connection, listing, certified=_certified(connection, listing.id)
                )
    with writing(engine) as connection, connection.begin():
        sessions, tokens = _delete_log_ins(connection, at - timedelta(days=keep.log_in_days))
        audit = _delete_audit(connection, at - timedelta(days=keep.audit_days))
    return Removed(len(drafts), len(closed), photos, sessions, tokens, audit)


def _ids(engine: Engine, *where: Any) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(ListingRow.public_id).where(*where)))


def _old_drafts(before: datetime) -> tuple[Any, ...]:
    return ListingRow.state == State.DRAFT.value, ListingRow.changed_at < before


def _old_closed(before: datetime) -> tuple[Any, ...]:
    """Listings that are over and still hold something that no certificate names."""
    photo = exists().where(ListingPhotoRow.listing_id == ListingRow.id)
    read = exists().where(
        ListingPhotoRow.listing_id == ListingRow.id, PhotoReadingRow.photo_id == ListingPhotoRow.id
    )
    certified = exists().where(CertificateRow.listing_id == ListingRow.id)
    named = or_(photo, ListingRow.defects != "", ListingRow.size != "")
    return (
        ListingRow.state.in_(CLOSED),
        ListingRow.changed_at < before,
        or_(ListingRow.text != "", read, and_(~certified, named)),
    )


def _certified(connection: Connection, listing: int) -> bool:
    chosen = exists().where(CertificateRow.listing_id == listing)
    return bool(connection.scalar(select(chosen)))


def _delete_log_ins(connection: Connection, before: datetime) -> tuple[int, int]:
    """Delete sessions that ended, and secrets of e-mails that counted, before a time."""
    ended = or_(SessionRow.ended_at < before, SessionRow.expires_at < before)
    over = or_(AccountTokenRow.used_at < before, AccountTokenRow.expires_at < before)
    return (
        connection.execute(delete(SessionRow).where(ended)).rowcount,
        connection.execute(delete(AccountTokenRow).where(over)).rowcount,
    )


def _delete_audit(connection: Connection, before: datetime) -> int:
    """Delete entries of the audit log, and say in it how many: nothing else may."""
    with deletable(connection, AuditRow.__tablename__):
        deleted = connection.execute(delete(AuditRow).where(AuditRow.at < before)).rowcount
    if deleted:
        record(connection, "audit.expire", deleted=deleted)
    return deleted
