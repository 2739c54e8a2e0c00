"""The audit log: what was done, by whom, from where. Rows are added and never changed."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select

from satchel.market.accounts.records import AuditEntry
from satchel.market.accounts.tables import AccountRow, AuditRow

PAGE: Final = 100


def record(
    connection: Connection,
    action: str,
    *,
    by: int | None = None,
    subject: str = "",
    address: str = "",
    **details: Any,
) -> None:
    """Add one entry, in the transaction of what it is about.

    Args:
        action: such as `account.register`.
        by: account of who did it.
        subject: what it was done to, such as `account:12`.
        details: no secrets: they are shown to every admin.
    """
    connection.execute(
        insert(AuditRow).values(
            account_id=by, action=action, subject=subject, details=details, address=address
        )
    )


class AuditLog:
    """Reads the audit log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def entries(self, *, before: int | None = None, action: str = "") -> list[AuditEntry]:
        """Return a page of entries, the latest first.

        Args:
            before: only those before the one with this id.
            action: only those whose action begins so.
        """
        chosen = select(AuditRow.__table__, AccountRow.email).join(
            AccountRow, AccountRow.id == AuditRow.account_id, isouter=True
        )
        if before is not None:
            chosen = chosen.where(AuditRow.id < before)
        if action:
            chosen = chosen.where(AuditRow.action.startswith(action, autoescape=True))
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.order_by(AuditRow.id.desc()).limit(PAGE)).all()
        return [
            AuditEntry(row.id, row.at, row.email, row.action, row.subject, row.details, row.address)
            for row in rows
        ]
