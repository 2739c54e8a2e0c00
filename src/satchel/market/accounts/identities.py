"""Accounts at other services that log in here.

An identity becomes an account's only by an e-mail address that both have confirmed: the provider
says that it has checked the address, or its mailbox confirms it in the browser in which the log-in
began. What somebody else may have left on an account that was never confirmed is dropped then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import now
from satchel.errors import AccountError, LogInFailed
from satchel.market.accounts.audit import record
from satchel.market.accounts.emails import normal_email
from satchel.market.accounts.letters import LetterKind
from satchel.market.accounts.outbox import Outbox
from satchel.market.accounts.providers import TITLES, Claims
from satchel.market.accounts.records import Account
from satchel.market.accounts.secret import digest, same
from satchel.market.accounts.sessions import end_sessions
from satchel.market.accounts.store import find, tidy_name
from satchel.market.accounts.tables import AccountRow, IdentityRow
from satchel.market.accounts.tokens import Purpose, standing, use, void

PROVIDER_OF: Final = {title: name for name, title in TITLES.items()}


@dataclass(frozen=True, slots=True)
class Identity:
    """An account at another service."""

    provider: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What is known of a person who may be new here.

    Attributes:
        browser: its secret.
        open: whether people may register.
    """

    locale: str
    browser: str
    address: str
    open: bool


class IdentityStore:
    """Finds, adds and removes identities."""

    def __init__(self, engine: Engine, post: Outbox) -> None:
        self._engine = engine
        self._post = post

    def enter(self, claims: Claims, newcomer: Newcomer) -> Account | None:
        """Return the account of an identity, a new one where it may have one.

        Returns:
            None where an e-mail asks to confirm the address first.

        Raises:
            LogInFailed: the account is disabled.
            AccountError: the provider gives no e-mail address, or nobody may register.
        """
        with writing(self._engine) as connection, connection.begin():
            known = _account_of(connection, claims)
            if known is None:
                known = self._meet(connection, claims, newcomer)
        if known is None:
            return None
        if known.disabled_at is not None:
            raise LogInFailed("this account may not log in; ask an admin", "disabled")
        return Account.of(known)

    def attach(self, account: Account, claims: Claims, *, address: str = "") -> None:
        """Let a person who is logged in log in by this identity, too.

        Raises:
            AccountError: it is another account's.
        """
        with writing(self._engine) as connection, connection.begin():
            known = _account_of(connection, claims)
            if known is None:
                _add(connection, account.id, claims.provider, claims.subject, address)
                self._post(connection, LetterKind.ADDED, account.id)
            elif known.id != account.id:
                raise AccountError(
                    "this identity belongs to another account; log in by it, and remove it there",
                    "identity-taken",
                )

    def confirm(self, token: str, browser: str, *, address: str = "") -> Account:
        """Take the secret of the e-mail that asks to confirm an identity.

        Raises:
            AccountError: it does not count (any more), or came to another browser.
            LogInFailed: the account is disabled.
        """
        time = now()
        with writing(self._engine) as connection, connection.begin():
            kept = standing(connection, token, Purpose.LINK, time).details
            if not same(digest(browser), kept["browser"]):
                raise AccountError(
                    "expected the browser in which the log-in began, got another one; open the "
                    "link there, or log in again here",
                    "other-browser",
                )
            row = use(connection, token, Purpose.LINK, time)
            account = find(connection, id=row.account_id)
            if account.disabled_at is not None:
                raise LogInFailed("this account may not log in; ask an admin", "disabled")
            _take_over(connection, account, time)
            _add(connection, account.id, PROVIDER_OF[kept["provider"]], kept["subject"], address)
            self._post(connection, LetterKind.ADDED, account.id)
            return Account.of(find(connection, id=account.id))

    def of(self, account_id: int) -> list[Identity]:
        """Return the identities of an account."""
        chosen = select(IdentityRow.__table__).where(IdentityRow.account_id == account_id)
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.order_by(IdentityRow.id))
            return [Identity(row.provider, row.created_at) for row in rows]

    def remove(self, account_id: int, provider: str, *, address: str = "") -> bool:
        """Remove the identities of an account at a provider; whether there was one.

        A person without any other way to log in gets a new password by e-mail.
        """
        with writing(self._engine) as connection, connection.begin():
            done = connection.execute(
                delete(IdentityRow).where(
                    IdentityRow.account_id == account_id, IdentityRow.provider == provider
                )
            )
            if done.rowcount:
                record(
                    connection, "identity.remove", by=account_id, address=address, provider=provider
                )
        return bool(done.rowcount)

    def _meet(self, connection: Connection, claims: Claims, newcomer: Newcomer) -> Any:
        """Find or make the account of an address; None where its mailbox is asked first."""
        if claims.email is None:
            raise AccountError(
                f"{TITLES[claims.provider]} gives no e-mail address; allow it there, and try again",
                "no-email",
            )
        email, time = normal_email(claims.email), now()
        known = find(connection, email=email)
        row = known or _insert(connection, email, claims, newcomer)
        if not claims.verified:
            self._post(
                connection,
                LetterKind.LINK,
                row.id,
                provider=TITLES[claims.provider],
                subject=claims.subject,
                browser=digest(newcomer.browser),
            )
            return None
        if row.disabled_at is None:
            _take_over(connection, row, time)
            _add(connection, row.id, claims.provider, claims.subject, newcomer.address)
            if known is not None:
                self._post(connection, LetterKind.ADDED, row.id)
        return find(connection, id=row.id)


def _account_of(connection: Connection, claims: Claims) -> Any:
    chosen = select(IdentityRow.account_id).where(
        IdentityRow.provider == claims.provider, IdentityRow.subject == claims.subject
    )
    number = connection.scalar(chosen)
    return None if number is None else find(connection, id=number)


def _insert(connection: Connection, email: str, claims: Claims, newcomer: Newcomer) -> Any:
    if not newcomer.open:
        raise AccountError("this server lets nobody register; ask an admin", "closed")
    row = {
        "email": email,
        "name": tidy_name(claims.name, email),
        "locale": newcomer.locale,
    }
    number = inserted_id(connection, insert(AccountRow).values(**row))
    record(
        connection,
        "account.register",
        subject=f"account:{number}",
        address=newcomer.address,
        provider=claims.provider,
    )
    return find(connection, id=number)


def _take_over(connection: Connection, row: Any, time: datetime) -> None:
    """Confirm the address of an account; password and consent may be somebody else's."""
    if row.email_confirmed_at is not None:
        return
    values = {"email_confirmed_at": time, "password_hash": None, "terms_version": ""}
    connection.execute(update(AccountRow).where(AccountRow.id == row.id).values(**values))
    end_sessions(connection, row.id)
    void(connection, row.id, time, *Purpose)


def _add(
    connection: Connection, account_id: int, provider: str, subject: str, address: str
) -> None:
    values = {"account_id": account_id, "provider": provider, "subject": subject}
    connection.execute(insert(IdentityRow).values(**values))
    record(connection, "identity.add", by=account_id, address=address, provider=provider)
