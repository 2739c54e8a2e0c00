"""Accounts, sessions and API keys, as records. Times are UTC, without a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from satchel.market.roles import Role, Scope


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a program.

    Attributes:
        has_password: whether it can log in with one.
        terms: version that was accepted; empty for none yet, None for an account that an admin
            made, which is not asked.
    """

    id: int
    email: str
    name: str
    role: Role
    locale: str
    has_password: bool
    terms: str | None
    email_confirmed_at: datetime | None
    created_at: datetime
    disabled_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> Account:
        """Convert a row of `accounts`."""
        return cls(
            id=row.id,
            email=row.email,
            name=row.name,
            role=Role(row.role),
            locale=row.locale,
            has_password=row.password_hash is not None,
            terms=row.terms_version,
            email_confirmed_at=row.email_confirmed_at,
            created_at=row.created_at,
            disabled_at=row.disabled_at,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in from one browser.

    Attributes:
        user_agent: what the browser calls itself.
        address: it logged in from.
    """

    id: int
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_agent: str
    address: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for programs, without its secret."""

    id: int
    account_id: int
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done.

    Attributes:
        email: of who did it; None for nobody known.
    """

    id: int
    at: datetime
    email: str | None
    action: str
    subject: str
    details: dict[str, Any]
    address: str
