"""API keys: secrets with which programs act for an account, within their scopes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Engine, func, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import now
from satchel.errors import AccountError
from satchel.market.accounts.audit import record
from satchel.market.accounts.records import Account, ApiKey
from satchel.market.accounts.secret import digest, new_secret
from satchel.market.accounts.store import MAX_NAME_CHARS
from satchel.market.accounts.tables import AccountRow, ApiKeyRow
from satchel.market.roles import Scope, scopes_of

MARK: Final = "satchel_"
"""How keys begin, so that scanners for leaked secrets know them."""

SHOWN_CHARS: Final = len(MARK) + 6
MAX_KEYS: Final = 50
MAX_KEY_CHARS: Final = 100
USED_EVERY: Final = timedelta(minutes=1)


class KeyStore:
    """Makes, finds and revokes API keys."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self, account: Account, name: str, scopes: Iterable[Scope], *, address: str = ""
    ) -> tuple[str, ApiKey]:
        """Make a key; return it, which only now can be shown, and its record.

        Raises:
            AccountError: no scope or one beyond the account's role, no name, or too many keys.
        """
        chosen, label = frozenset(scopes), " ".join(name.split())[:MAX_NAME_CHARS]
        allowed = scopes_of(account.role)
        if not label:
            raise AccountError("expected a name for the key, got none", "key-name")
        if not chosen or not chosen <= frozenset(allowed):
            raise AccountError(
                f"expected one or more of {', '.join(allowed)}, got "
                f"{', '.join(sorted(chosen)) or 'none'}",
                "key-scopes",
            )
        key = MARK + new_secret()
        row = {
            "account_id": account.id,
            "name": label,
            "prefix": key[:SHOWN_CHARS],
            "key_hash": digest(key),
            "scopes": sorted(chosen),
        }
        mine = (ApiKeyRow.account_id == account.id) & ApiKeyRow.revoked_at.is_(None)
        with writing(self._engine) as connection, connection.begin():
            if (connection.scalar(select(func.count()).where(mine)) or 0) >= MAX_KEYS:
                raise AccountError(
                    f"expected at most {MAX_KEYS} keys of one account; revoke some", "key-count"
                )
            number = inserted_id(connection, insert(ApiKeyRow).values(**row))
            record(
                connection,
                "key.create",
                by=account.id,
                subject=f"key:{number}",
                address=address,
                scopes=row["scopes"],
            )
        return key, next(one for one in self.of(account.id) if one.id == number)

    def of(self, account_id: int) -> list[ApiKey]:
        """Return the keys of an account that are not revoked, the newest first."""
        chosen = select(ApiKeyRow.__table__).where(
            ApiKeyRow.account_id == account_id, ApiKeyRow.revoked_at.is_(None)
        )
        with self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(chosen.order_by(ApiKeyRow.id.desc()))]

    def find(self, key: str) -> tuple[ApiKey, Account] | None:
        """Return the record of a key and its account; None where it does not count (any more)."""
        if not key.startswith(MARK) or len(key) > MAX_KEY_CHARS:
            return None
        with self._engine.connect() as connection:
            row = connection.execute(
                select(ApiKeyRow.__table__).where(
                    ApiKeyRow.key_hash == digest(key), ApiKeyRow.revoked_at.is_(None)
                )
            ).one_or_none()
            account = (
                row
                and connection.execute(
                    select(AccountRow.__table__).where(
                        AccountRow.id == row.account_id,
                        AccountRow.disabled_at.is_(None),
                        AccountRow.deleted_at.is_(None),
                    )
                ).one_or_none()
            )
        if not row or not account:
            return None
        if row.last_used_at is None or now() - row.last_used_at >= USED_EVERY:
            self._note_use(row.id)
        return _key(row), Account.of(account)

    def revoke(self, account_id: int, key_id: int, *, address: str = "") -> bool:
        """Let a key of an account count no more; whether it had one with this id."""
        with writing(self._engine) as connection, connection.begin():
            done = connection.execute(
                update(ApiKeyRow)
                .where(
                    ApiKeyRow.id == key_id,
                    ApiKeyRow.account_id == account_id,
                    ApiKeyRow.revoked_at.is_(None),
                )
                .values(revoked_at=now())
            )
            if done.rowcount:
                record(
                    connection,
                    "key.revoke",
                    by=account_id,
                    subject=f"key:{key_id}",
                    address=address,
                )
        return bool(done.rowcount)

    def _note_use(self, key_id: int) -> None:
        with writing(self._engine) as connection, connection.begin():
            connection.execute(
                update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at=now())
            )


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(Scope(name) for name in row.scopes if name in frozenset(Scope)),
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
