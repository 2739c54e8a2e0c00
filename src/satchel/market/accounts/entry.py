"""Registration, log-in and passwords. Whether an address has an account only its mailbox learns.

Whoever registers, asks for a new password or gives a wrong one gets the same answer in the same
time, whether or not the address has an account (OWASP ASVS 5.0, 6.3.8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import now
from satchel.errors import AccountError, LogInFailed
from satchel.market.accounts.audit import record
from satchel.market.accounts.consents import accept_terms
from satchel.market.accounts.emails import normal_email
from satchel.market.accounts.letters import LetterKind
from satchel.market.accounts.outbox import Outbox
from satchel.market.accounts.passwords import Passwords, require_good
from satchel.market.accounts.records import Account
from satchel.market.accounts.sessions import end_sessions
from satchel.market.accounts.store import find, tidy_name
from satchel.market.accounts.tables import AccountRow
from satchel.market.accounts.tokens import Purpose, standing, use, void

WRONG: Final = "e-mail address or password is wrong, or the address is not confirmed yet"


@dataclass(frozen=True, slots=True)
class Registration:
    """What a person gives to register.

    Attributes:
        terms: version of the terms that were accepted.
    """

    email: str
    password: str
    name: str
    locale: str
    terms: str


class Entry:
    """Lets people in.

    Args:
        post: has e-mails sent.
    """

    def __init__(
        self,
        engine: Engine,
        passwords: Passwords,
        *,
        post: Outbox,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._engine = engine
        self._passwords = passwords
        self._post = post
        self._clock = clock

    def register(self, given: Registration, *, address: str = "") -> None:
        """Make an account that waits for its e-mail address to be confirmed.

        Of an address that waits already, the last registration counts: the first may have been made
        by somebody else. Who has an account already learns it by e-mail.

        Raises:
            AccountError: the e-mail address or the password cannot be used.
        """
        email = normal_email(given.email)
        name = tidy_name(given.name, email)
        require_good(given.password, email, name)
        hashed = self._passwords.hash(given.password)  # in any case: it takes most of the time
        with writing(self._engine) as connection, connection.begin():
            row = find(connection, email=email)
            if row is not None and row.email_confirmed_at is not None:
                self._post(connection, LetterKind.TAKEN, row.id)
            else:
                values = {"name": name, "password_hash": hashed, "locale": given.locale}
                account_id = self._insert_or_replace(connection, row, email, values)
                accept_terms(connection, account_id, given.terms, self._clock())
                self._post(connection, LetterKind.CONFIRM, account_id)
                record(
                    connection,
                    "account.register",
                    subject=f"account:{account_id}",
                    address=address,
                )

    def confirm(self, token: str, *, address: str = "") -> Account:
        """Confirm an e-mail address by the secret that was sent to it.

        Raises:
            AccountError: the secret does not count (any more).
        """
        with writing(self._engine) as connection, connection.begin():
            row = use(connection, token, Purpose.CONFIRM, self._clock())
            _set(connection, row.account_id, email_confirmed_at=self._clock())
            record(connection, "account.confirm", by=row.account_id, address=address)
            return Account.of(find(connection, id=row.account_id))

    def accept_terms(self, account: Account, version: str) -> None:
        """Record that a person accepts the terms of this version."""
        with writing(self._engine) as connection, connection.begin():
            accept_terms(connection, account.id, version, self._clock())

    def check_password(self, email: str, password: str, *, address: str = "") -> Account:
        """Return the account that an e-mail address and a password belong to.

        Raises:
            LogInFailed: one of them is wrong, or the account may not log in: the same for all.
        """
        try:
            known = normal_email(email)
        except AccountError:
            known = ""
        with self._engine.connect() as connection:
            row = find(connection, email=known)
        right, renewed = self._passwords.check(password, row and row.password_hash)
        allowed = row and row.email_confirmed_at is not None and row.disabled_at is None
        if not (right and allowed):
            with writing(self._engine) as connection, connection.begin():
                subject = f"account:{row.id}" if row else ""
                record(connection, "session.refuse", subject=subject, address=address)
            raise LogInFailed(f"{WRONG}; try again, or ask for a new password", "wrong")
        if renewed is not None:
            with writing(self._engine) as connection, connection.begin():
                _set(connection, row.id, password_hash=renewed)
        return Account.of(row)

    def change_password(
        self, account: Account, old: str, new: str, *, session: int | None, address: str = ""
    ) -> None:
        """Change a password; all other sessions of the account end.

        Args:
            old: the present one; ignored where the account has none.
            session: that stays.

        Raises:
            LogInFailed: the old password is wrong.
            AccountError: the new one cannot be used.
        """
        with self._engine.connect() as connection:
            stored = find(connection, id=account.id).password_hash
        if stored is not None and not self._passwords.check(old, stored)[0]:
            raise LogInFailed("the present password is wrong; nothing was changed", "wrong-old")
        require_good(new, account.email, account.name)
        hashed = self._passwords.hash(new)
        with writing(self._engine) as connection, connection.begin():
            self._replace_password(connection, account.id, hashed, session, address)

    def rename(self, account: Account, name: str, *, address: str = "") -> Account:
        """Change the name that others see."""
        with writing(self._engine) as connection, connection.begin():
            _set(connection, account.id, name=tidy_name(name, account.email))
            record(connection, "account.name", by=account.id, address=address)
            return Account.of(find(connection, id=account.id))

    def ask_email(self, account: Account, email: str, *, address: str = "") -> None:
        """Ask a new e-mail address whether it is the person's; the old one counts until then.

        The old address gets a notice. Of an address that has an account already, only its mailbox
        learns.

        Raises:
            AccountError: it is no e-mail address, or the present one.
        """
        wanted = normal_email(email)
        if wanted == account.email:
            raise AccountError("expected another e-mail address than the present one", "same")
        with writing(self._engine) as connection, connection.begin():
            row = find(connection, email=wanted)
            if row is not None and row.email_confirmed_at is not None:
                self._post(connection, LetterKind.TAKEN, row.id)
            else:
                self._post(connection, LetterKind.EMAIL, account.id, email=wanted)
            self._post(connection, LetterKind.MOVING, account.id, email=wanted)
            record(connection, "email.ask", by=account.id, address=address)

    def confirm_email(self, token: str, *, address: str = "") -> Account:
        """Change an e-mail address by the secret that was sent to the new one; sessions stay.

        Raises:
            AccountError: the secret does not count (any more), or the address has an account by
                now.
        """
        time = self._clock()
        with writing(self._engine) as connection, connection.begin():
            row = use(connection, token, Purpose.EMAIL, time)
            email = str(row.details["email"])
            other = find(connection, email=email)
            if other is not None:
                _require_unconfirmed(other)
                gone = {"email": f"deleted-{other.id}@deleted.invalid", "deleted_at": time}
                _set(connection, other.id, **gone, name="", password_hash=None)
            _set(connection, row.account_id, email=email, email_confirmed_at=time)
            void(connection, row.account_id, time, *Purpose)
            record(connection, "email.change", by=row.account_id, address=address)
            return Account.of(find(connection, id=row.account_id))

    def forget_password(self, email: str, *, address: str = "") -> None:
        """Send an e-mail with which a new password can be chosen, if the address has an account.

        Raises:
            AccountError: it is no e-mail address.
        """
        known = normal_email(email)
        with writing(self._engine) as connection, connection.begin():
            row = find(connection, email=known)
            subject = f"account:{row.id}" if row else ""
            record(connection, "password.forget", subject=subject, address=address)
            if row is None or row.disabled_at is not None:
                return
            self._post(connection, LetterKind.RESET, row.id)

    def may_reset(self, token: str) -> None:
        """Check the secret of such an e-mail without using it up.

        Raises:
            AccountError: it does not count (any more).
        """
        with self._engine.connect() as connection:
            standing(connection, token, Purpose.RESET, self._clock())

    def reset_password(self, token: str, new: str, *, address: str = "") -> Account:
        """Choose a new password by the secret of such an e-mail; all sessions end.

        The e-mail address counts as confirmed from then on.

        Raises:
            AccountError: the secret does not count (any more), or the password cannot be used.
        """
        with self._engine.connect() as connection:
            waiting = standing(connection, token, Purpose.RESET, self._clock())
            account = Account.of(find(connection, id=waiting.account_id))
        require_good(new, account.email, account.name)
        hashed = self._passwords.hash(new)
        with writing(self._engine) as connection, connection.begin():
            use(connection, token, Purpose.RESET, self._clock())
            if account.email_confirmed_at is None:
                confirmed = {"email_confirmed_at": self._clock(), "terms_version": ""}
                _set(connection, account.id, **confirmed)  # who registered may be somebody else
            self._replace_password(connection, account.id, hashed, None, address)
        return account

    def _insert_or_replace(
        self, connection: Connection, row: Any, email: str, values: dict[str, Any]
    ) -> int:
        if row is None:
            return inserted_id(connection, insert(AccountRow).values(email=email, **values))
        _set(connection, row.id, **values)
        return int(row.id)

    def _replace_password(
        self, connection: Connection, account_id: int, hashed: str, kept: int | None, address: str
    ) -> None:
        _set(connection, account_id, password_hash=hashed)
        ended = end_sessions(connection, account_id, but=kept)
        void(connection, account_id, self._clock(), *Purpose)
        record(connection, "password.change", by=account_id, address=address, ended=ended)
        self._post(connection, LetterKind.CHANGED, account_id)


def _require_unconfirmed(row: Any) -> None:
    if row.email_confirmed_at is not None:
        raise AccountError(
            "the address has an account by now; log in to that, or choose another address", "taken"
        )


def _set(connection: Connection, account_id: int, **values: Any) -> None:
    connection.execute(update(AccountRow).where(AccountRow.id == account_id).values(**values))
