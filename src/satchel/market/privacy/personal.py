"""A person's data: everything about an account as one archive, and its deletion.

What a deletion leaves is an anonymous record: the account's number in events, opinions and the
audit log, and of certified goods what a certificate names: code, condition and photos.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from typing import IO, Any, Final

from sqlalchemy import Connection, Engine, delete, select, update

from satchel.catalog.database import writing
from satchel.catalog.photos import PhotoStore
from satchel.catalog.tables import Base, now
from satchel.errors import CatalogueError, StateConflict
from satchel.market.accounts.audit import record
from satchel.market.accounts.tables import (
    AccountRow,
    AccountTokenRow,
    ApiKeyRow,
    AuditRow,
    ConsentRow,
    IdentityRow,
    PasskeyRow,
    SessionRow,
)
from satchel.market.desk.tables import CertificateRow, OpinionRow
from satchel.market.listings.changes import Outbox, as_listings, take
from satchel.market.listings.states import STEPS, Actor, State, StepName
from satchel.market.listings.tables import (
    ListingEventRow,
    ListingPhotoRow,
    ListingRow,
    PhotoReadingRow,
)
from satchel.market.privacy.emptying import empty_listing
from satchel.market.roles import Role
from satchel.market.sale.tables import ReservationRow, SavedSearchRow

SECRET: Final = frozenset(
    ("password_hash", "token_hash", "key_hash", "public_key", "hash", "secret")
)
"""Columns that are no data of the person, and are better known to nobody."""

UNDER_WAY: Final = (State.SUBMITTED, State.IN_REVIEW, State.RESERVED)
"""States in which other people count on a listing."""

OF_ACCOUNT: Final[Mapping[str, tuple[type[Base], str]]] = {
    "account": (AccountRow, "id"),
    "sessions": (SessionRow, "account_id"),
    "api_keys": (ApiKeyRow, "account_id"),
    "identities": (IdentityRow, "account_id"),
    "passkeys": (PasskeyRow, "account_id"),
    "consents": (ConsentRow, "account_id"),
    "audit": (AuditRow, "account_id"),
    "listings": (ListingRow, "seller_id"),
    "opinions": (OpinionRow, "expert_id"),
    "reservations": (ReservationRow, "buyer_id"),
    "saved_searches": (SavedSearchRow, "account_id"),
    "events": (ListingEventRow, "actor_id"),
}
"""Name in the archive → table, and the column that names the account."""

OF_NOBODY_ELSE: Final = (
    AccountTokenRow,
    IdentityRow,
    PasskeyRow,
    SessionRow,
    ApiKeyRow,
    SavedSearchRow,
)
"""Tables whose rows go with their account."""


def export_data(engine: Engine, photos: PhotoStore, account: int, out: IO[bytes]) -> None:
    """Write everything about an account as a ZIP: `data.json`, and the photos of its listings.

    Args:
        photos: of the market.
        out: a seekable file.
    """
    with engine.connect() as connection:
        data = {name: _rows(connection, *of, account) for name, of in OF_ACCOUNT.items()}
        chosen = (
            select(ListingRow.public_id, ListingPhotoRow.sha256)
            .join(ListingRow, ListingRow.id == ListingPhotoRow.listing_id)
            .where(ListingRow.seller_id == account)
            .order_by(ListingRow.id, ListingPhotoRow.position)
        )
        pairs = [tuple(row) for row in connection.execute(chosen)]
        read = (
            select(ListingRow.public_id.label("listing"), ListingPhotoRow.sha256)
            .add_columns(PhotoReadingRow.texts, PhotoReadingRow.fault, PhotoReadingRow.read_at)
            .join(ListingPhotoRow, ListingPhotoRow.id == PhotoReadingRow.photo_id)
            .join(ListingRow, ListingRow.id == ListingPhotoRow.listing_id)
            .where(ListingRow.seller_id == account)
            .order_by(PhotoReadingRow.photo_id)
        )
        data["readings"] = [dict(row) for row in connection.execute(read).mappings()]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # JPEGs do not shrink
        text = json.dumps(data, ensure_ascii=False, indent=2, default=_plain)
        archive.writestr("data.json", text, zipfile.ZIP_DEFLATED)
        for listing, sha256 in pairs:
            try:
                archive.writestr(f"photos/{listing}/{sha256}.jpg", photos.read(sha256))
            except CatalogueError:  # the file is gone; the rest is still theirs
                continue


def delete_account(
    engine: Engine,
    account: int,
    *,
    address: str = "",
    outbox: Outbox | None = None,
) -> list[str]:
    """Empty an account; nobody can log in to it any more.

    Goods on sale are withdrawn. Listings that were never certified lose photos and texts; certified
    ones keep what their certificate names, and lose their texts and what was read on photos.

    Returns:
        SHA-256 of photos whose files may be removed, unless others show them too.

    Raises:
        StateConflict: a listing waits for an expert or is reserved, or the account is the only
            admin.
    """
    with writing(engine) as connection, connection.begin():
        _require_free(connection, account)
        removed = _empty_listings(connection, account, outbox)
        for table in OF_NOBODY_ELSE:
            connection.execute(delete(table).where(table.account_id == account))
        emptied = {
            "email": f"deleted-{account}@deleted.invalid",
            "name": "",
            "password_hash": None,
            "email_confirmed_at": None,
            "terms_version": None,
            "terms_accepted_at": None,
            "deleted_at": now(),
        }
        connection.execute(update(AccountRow).where(AccountRow.id == account).values(**emptied))
        record(connection, "account.delete", by=account, subject=f"account:{account}",
               address=address)  # fmt: skip
    return removed


def _require_free(connection: Connection, account: int) -> None:
    waiting = connection.execute(
        select(ListingRow.public_id, ListingRow.state).where(
            ListingRow.seller_id == account,
            ListingRow.state.in_([state.value for state in UNDER_WAY]),
        )
    ).first()
    if waiting is not None:
        words = waiting.state.replace("_", " ")
        raise StateConflict(
            f"the listing {waiting.public_id} is {words}: withdraw it, or wait for its end, and "
            "delete the account then",
            state=waiting.state,
        )
    held = select(ReservationRow.id).where(
        ReservationRow.buyer_id == account, ReservationRow.ended_at.is_(None)
    )
    if connection.scalar(held) is not None:
        raise StateConflict(
            "you have a good reserved: cancel that, and delete the account then",
            state=State.RESERVED.value,
        )
    admins = select(AccountRow.id).where(
        AccountRow.role == Role.ADMIN.value,
        AccountRow.deleted_at.is_(None),
        AccountRow.disabled_at.is_(None),
    )
    if list(connection.scalars(admins)) == [account]:
        raise StateConflict(
            "this is the only admin; make another one first (`satchel admin create`)", state=""
        )


def _empty_listings(connection: Connection, account: int, outbox: Outbox | None) -> list[str]:
    chosen = select(ListingRow.__table__).where(ListingRow.seller_id == account)
    certified = set(connection.scalars(select(CertificateRow.listing_id)))
    removed: list[str] = []
    for listing in as_listings(connection, connection.execute(chosen).all()):
        if listing.state in STEPS[StepName.WITHDRAW].sources:
            take(connection, listing, StepName.WITHDRAW, Actor(account), outbox=outbox)
        removed += empty_listing(connection, listing, certified=listing.id in certified)
    return removed


def _rows(
    connection: Connection, table: type[Base], column: str, account: int
) -> list[dict[str, Any]]:
    chosen = select(table.__table__).where(table.__table__.c[column] == account)
    return [
        {name: value for name, value in row.items() if name not in SECRET}
        for row in connection.execute(chosen).mappings()
    ]


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='seconds')}Z"
    return value.hex() if isinstance(value, bytes) else str(value)
