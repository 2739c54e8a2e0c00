"""Roles of accounts, and scopes of API keys: what one may do at most."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What an account may do; each role may do what those before it may."""

    SELLER = "seller"
    EXPERT = "expert"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        return ORDER.index(self) >= ORDER.index(other)


ORDER: Final = tuple(Role)


class Scope(StrEnum):
    """What an API key may do. Its account must have the role for it too."""

    ACCOUNT_READ = "account:read"
    CATALOGUE_READ = "catalogue:read"
    CATALOGUE_WRITE = "catalogue:write"
    LISTINGS_READ = "listings:read"
    LISTINGS_WRITE = "listings:write"
    DESK_READ = "desk:read"
    DESK_WRITE = "desk:write"
    MARKET_WRITE = "market:write"
    ADMIN = "admin"


STAFF_SCOPES: Final = {
    Scope.CATALOGUE_READ: Role.EXPERT,
    Scope.CATALOGUE_WRITE: Role.EXPERT,
    Scope.DESK_READ: Role.EXPERT,
    Scope.DESK_WRITE: Role.EXPERT,
    Scope.ADMIN: Role.ADMIN,
}
"""Scopes that are offered to some roles only."""


def scopes_of(role: Role) -> list[Scope]:
    """Return the scopes that a key of an account with this role may have."""
    return [scope for scope in Scope if role.includes(STAFF_SCOPES.get(scope, Role.SELLER))]
