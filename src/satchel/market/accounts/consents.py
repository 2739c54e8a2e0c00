"""What people agreed to: who, to which version of what, and when. Rows are only ever added."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, update

from satchel.market.accounts.tables import AccountRow, ConsentRow


class About(StrEnum):
    """What somebody agrees to."""

    TERMS = "terms"
    GALLERY = "gallery"


def agree(
    connection: Connection,
    account: int,
    about: About,
    version: str,
    at: datetime,
    *,
    given: bool = True,
    subject: str = "",
) -> None:
    """Record that somebody agrees, or no longer does.

    Args:
        version: of what the person was shown.
        subject: what it is for alone, such as `listing:12`.
    """
    row = {"account_id": account, "about": about.value, "version": version, "at": at}
    connection.execute(insert(ConsentRow).values(**row, given=given, subject=subject))


def accept_terms(connection: Connection, account: int, version: str, at: datetime) -> None:
    """Record that somebody accepts the terms of this version."""
    agree(connection, account, About.TERMS, version, at)
    accepted = {"terms_version": version, "terms_accepted_at": at}
    connection.execute(update(AccountRow).where(AccountRow.id == account).values(**accepted))
