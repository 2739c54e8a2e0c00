"""Accounts in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import now
from satchel.errors import AccountError
from satchel.market.accounts.audit import record
from satchel.market.accounts.emails import normal_email
from satchel.market.accounts.records import Account
from satchel.market.accounts.sessions import end_sessions
from satchel.market.accounts.tables import AccountRow
from satchel.market.roles import Role

MAX_NAME_CHARS: Final = 60
PAGE: Final = 100


class AccountStore:
    """Reads accounts, and changes what admins decide about them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def by_id(self, account_id: int) -> Account | None:
        """Return an account, whatever its state; None where there is none."""
        with self._engine.connect() as connection:
            row = find(connection, id=account_id)
        return None if row is None else Account.of(row)

    def names(self, accounts: Iterable[int]) -> dict[int, str]:
        """Return the names of accounts, or e-mail addresses of those without, by their ids."""
        chosen = select(AccountRow.id, AccountRow.name, AccountRow.email).where(
            AccountRow.id.in_(accounts)
        )
        with self._engine.connect() as connection:
            return {row.id: row.name or row.email for row in connection.execute(chosen)}

    def by_email(self, email: str) -> Account:
        """Return the account of an address.

        Raises:
            AccountError: there is none.
        """
        with self._engine.connect() as connection:
            return Account.of(_of_email(connection, email))

    def page(
        self, query: str = "", *, role: Role | None = None, offset: int = 0
    ) -> tuple[int, list[Account]]:
        """Return how many accounts match, and a page of them, the newest first.

        Args:
            query: a part of an e-mail address or a name.
        """
        chosen = select(AccountRow.__table__).where(AccountRow.deleted_at.is_(None))
        if query:
            chosen = chosen.where(
                AccountRow.email.icontains(query, autoescape=True)
                | AccountRow.name.icontains(query, autoescape=True)
            )
        if role is not None:
            chosen = chosen.where(AccountRow.role == role.value)
        with self._engine.connect() as connection:
            total = connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            rows = connection.execute(
                chosen.order_by(AccountRow.id.desc()).limit(PAGE).offset(offset)
            )
            return total, [Account.of(row) for row in rows]

    def create(
        self,
        email: str,
        *,
        name: str,
        role: Role,
        password_hash: str | None,
        locale: str = "en",
        by: int | None = None,
    ) -> Account:
        """Make an account whose e-mail address counts as confirmed.

        Raises:
            AccountError: the address is none, or has an account.
        """
        address = normal_email(email)
        with writing(self._engine) as connection, connection.begin():
            if find(connection, email=address) is not None:
                raise AccountError(f"{address} has an account already", "email-taken")
            row = {
                "email": address,
                "name": tidy_name(name, address),
                "role": role.value,
                "locale": locale,
                "password_hash": password_hash,
                "email_confirmed_at": now(),
            }
            number = inserted_id(connection, insert(AccountRow).values(**row))
            record(
                connection,
                "account.create",
                by=by,
                subject=f"account:{number}",
                role=role.value,
            )
            return Account.of(find(connection, id=number))

    def set_role(self, email: str, role: Role, *, by: int | None = None) -> Account:
        """Give an account another role, which counts from the next request on.

        Raises:
            AccountError: there is no such account, or it is the last admin.
        """
        with writing(self._engine) as connection, connection.begin():
            row = _of_email(connection, email)
            if role is not Role.ADMIN:
                _require_other_admin(connection, row)
            return _change(
                connection, row, {"role": role.value}, "account.role", by=by, role=role.value
            )

    def disable(self, email: str, *, by: int | None = None) -> Account:
        """Let an account do nothing from now on; its sessions end.

        Raises:
            AccountError: there is no such account, or it is the last admin.
        """
        with writing(self._engine) as connection, connection.begin():
            row = _of_email(connection, email)
            _require_other_admin(connection, row)
            end_sessions(connection, row.id)
            return _change(connection, row, {"disabled_at": now()}, "account.disable", by=by)

    def enable(self, email: str, *, by: int | None = None) -> Account:
        """Let a disabled account log in again.

        Raises:
            AccountError: there is no such account.
        """
        with writing(self._engine) as connection, connection.begin():
            row = _of_email(connection, email)
            return _change(connection, row, {"disabled_at": None}, "account.enable", by=by)


def find(connection: Connection, **column: Any) -> Any:
    """Return the row of the account whose one column has this value; None where there is none."""
    ((name, value),) = column.items()
    chosen = select(AccountRow.__table__).where(getattr(AccountRow, name) == value)
    return connection.execute(chosen.where(AccountRow.deleted_at.is_(None))).one_or_none()


def tidy_name(name: str, email: str) -> str:
    """Return a name on one line; without one, that of the e-mail address."""
    printable = "".join(char if char.isprintable() else " " for char in name)
    return (" ".join(printable.split()) or email.partition("@")[0])[:MAX_NAME_CHARS]


def _of_email(connection: Connection, email: str) -> Any:
    row = find(connection, email=normal_email(email))
    if row is None:
        raise AccountError(f"there is no account of {email.strip()}", "unknown")
    return row


def _require_other_admin(connection: Connection, row: Any) -> None:
    others = select(func.count()).where(
        AccountRow.role == Role.ADMIN.value,
        AccountRow.disabled_at.is_(None),
        AccountRow.deleted_at.is_(None),
        AccountRow.id != row.id,
    )
    if row.role == Role.ADMIN.value and not connection.scalar(others):
        raise AccountError(
            f"{row.email} is the only admin left; make another one first, by "
            "`satchel admin role EMAIL admin`",
            "last-admin",
        )


def _change(
    connection: Connection,
    row: Any,
    values: Mapping[str, Any],
    action: str,
    *,
    by: int | None,
    **details: Any,
) -> Account:
    connection.execute(update(AccountRow).where(AccountRow.id == row.id).values(**values))
    record(connection, action, by=by, subject=f"account:{row.id}", **details)
    return Account.of(find(connection, id=row.id))
