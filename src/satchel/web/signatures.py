"""Whose name stands under a decision: the account's where there is one, else what a person says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from satchel.web.visitors import Visitor, visitor_of


@dataclass(frozen=True, slots=True)
class Signature:
    """Signs what one request decides.

    Attributes:
        account: name and number of the account; None without accounts.
    """

    account: str | None

    def __call__(self, given: str | None) -> str | None:
        """Return the name to keep; None where nobody says.

        Args:
            given: what the person says, which does not count where there is an account.
        """
        return self.account or (given or "").strip() or None


def signature_of(visitor: Visitor | None) -> Signature:
    """Return the signature of a visitor."""
    account = visitor.account if visitor else None
    return Signature(f"{account.name} #{account.id}" if account else None)


async def _of_request(request: Request) -> Signature:
    return signature_of(await visitor_of(request))


Sign = Annotated[Signature, Depends(_of_request)]
"""Dependency type: the `Signature` of whoever sends the request."""
