"""Secrets that go out by e-mail: for one purpose, once, for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from satchel.errors import AccountError
from satchel.market.accounts.secret import PATTERN, digest, new_secret
from satchel.market.accounts.tables import AccountTokenRow


class Purpose(StrEnum):
    """What a secret is good for."""

    CONFIRM = "confirm"
    RESET = "reset"
    LINK = "link"
    EMAIL = "email"


LIFETIMES: Final = {
    Purpose.CONFIRM: timedelta(days=2),
    Purpose.RESET: timedelta(minutes=30),
    Purpose.LINK: timedelta(minutes=30),
    Purpose.EMAIL: timedelta(minutes=30),
}


def issue(
    connection: Connection, account_id: int, purpose: Purpose, time: datetime, **details: Any
) -> str:
    """Make a secret; those that the account was sent before for this purpose count no more."""
    void(connection, account_id, time, purpose)
    token = new_secret()
    connection.execute(
        insert(AccountTokenRow).values(
            account_id=account_id,
            purpose=purpose.value,
            token_hash=digest(token),
            details=details,
            expires_at=time + LIFETIMES[purpose],
        )
    )
    return token


def use(connection: Connection, token: str, purpose: Purpose, time: datetime) -> Any:
    """Use up a secret and return its row; of two who use it at once, one does.

    Raises:
        AccountError: it is none, was used, or is too old.
    """
    row = standing(connection, token, purpose, time)
    done = connection.execute(
        update(AccountTokenRow)
        .where(AccountTokenRow.id == row.id, AccountTokenRow.used_at.is_(None))
        .values(used_at=time)
    )
    if done.rowcount != 1:
        raise _expired()
    return row


def standing(connection: Connection, token: str, purpose: Purpose, time: datetime) -> Any:
    """Return the row of a secret that can be used now.

    Raises:
        AccountError: it is none, was used, or is too old.
    """
    chosen = select(AccountTokenRow.__table__).where(
        AccountTokenRow.token_hash == digest(token),
        AccountTokenRow.purpose == purpose.value,
        AccountTokenRow.used_at.is_(None),
        AccountTokenRow.expires_at > time,
    )
    row = connection.execute(chosen).one_or_none() if PATTERN.fullmatch(token) else None
    if row is None:
        raise _expired()
    return row


def void(connection: Connection, account_id: int, time: datetime, *purposes: Purpose) -> None:
    """Let the secrets of an account for these purposes count no more."""
    connection.execute(
        update(AccountTokenRow)
        .where(
            AccountTokenRow.account_id == account_id,
            AccountTokenRow.purpose.in_([purpose.value for purpose in purposes]),
            AccountTokenRow.used_at.is_(None),
        )
        .values(used_at=time)
    )


def _expired() -> AccountError:
    return AccountError(
        "expected a link from an e-mail that was not used and is not too old, got another one; "
        "ask for a new e-mail",
        "token",
    )
