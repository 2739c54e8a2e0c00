"""`/api/v1/admin`: accounts and the audit log, for admins."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from satchel.errors import AccountError
from satchel.market.accounts import audit, records
from satchel.market.accounts.store import PAGE
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.market.account import MOST_ID
from satchel.web.market.admin import MAX_OFFSET
from satchel.web.market.schemas import Account, Time
from satchel.web.market.state import Market
from satchel.web.visitors import Who

ADMINS: Final = allow(Role.ADMIN, scope=Scope.ADMIN)
RECENT: Final = allow(Role.ADMIN, scope=Scope.ADMIN, recent=True)

router = APIRouter(prefix="/api/v1/admin", tags=["admin"])


class KnownAccount(Account):
    """An account, as an admin sees it."""

    confirmed: bool = Field(description="Whether its e-mail address is confirmed.")
    disabled: bool = Field(description="Whether it may do nothing.")

    @classmethod
    def of(cls, account: records.Account) -> KnownAccount:
        """Convert a record."""
        return cls(
            **Account.of(account).model_dump(),
            confirmed=account.email_confirmed_at is not None,
            disabled=account.disabled_at is not None,
        )


class AccountPage(BaseModel):
    """Some accounts, the newest first."""

    total: int = Field(description="Accounts that match.")
    accounts: list[KnownAccount] = Field(description=f"At most {PAGE}.")


class AccountChange(BaseModel):
    """What changes of an account; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None


class Entry(BaseModel):
    """Something that was done."""

    id: int
    at: Time
    email: str | None = Field(description="Of who did it; null for nobody known.")
    action: str = Field(examples=["session.begin"])
    subject: str = Field(examples=["account:12"])
    details: dict[str, Any]
    address: str = Field(description="IP address that it came from.")


class Entries(BaseModel):
    """A part of the audit log, the latest first."""

    entries: list[Entry] = Field(description=f"At most {audit.PAGE}.")


@router.get(
    "/accounts",
    dependencies=[ADMINS],
    responses=problems(401, 403, 422),
    openapi_extra=curl(
        "curl -H 'Authorization: Bearer KEY' '{base}/api/v1/admin/accounts?role=expert'"
    ),
)
def accounts(
    market: Market,
    query: Annotated[
        str, Query(max_length=200, description="Part of an e-mail address or a name.")
    ] = "",
    role: Annotated[Role | None, Query(description="Only with this role.")] = None,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Accounts passed over.")] = 0,
) -> AccountPage:
    """List accounts."""
    total, found = market.accounts.page(query, role=role, offset=offset)
    return AccountPage(total=total, accounts=[KnownAccount.of(one) for one in found])


@router.patch(
    "/accounts/{account}",
    dependencies=[RECENT],
    responses=problems(401, 403, 422),
    openapi_extra=curl(
        "curl -X PATCH -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' "
        "-d '{\"role\": \"expert\"}' '{base}/api/v1/admin/accounts/12'"
    ),
)
def change_account(
    market: Market,
    who: Who,
    account: Annotated[int, Path(ge=0, le=MOST_ID)],
    change: AccountChange,
) -> KnownAccount:
    """Give an account another role, or let it do nothing; the last admin stays."""
    assert who.account is not None
    known = market.accounts.by_id(account)
    if known is None:
        raise AccountError(f"there is no account {account}", "unknown")
    if change.role is not None:
        known = market.accounts.set_role(known.email, change.role, by=who.account.id)
    if change.disabled is not None:
        change_state = market.accounts.disable if change.disabled else market.accounts.enable
        known = change_state(known.email, by=who.account.id)
    return KnownAccount.of(known)


@router.get(
    "/audit",
    dependencies=[ADMINS],
    responses=problems(401, 403, 422),
    openapi_extra=curl(
        "curl -H 'Authorization: Bearer KEY' '{base}/api/v1/admin/audit?action=session.'"
    ),
)
def audit_log(
    market: Market,
    action: Annotated[str, Query(max_length=40, description="How the action begins.")] = "",
    before: Annotated[
        int | None, Query(ge=0, le=MOST_ID, description="Entries with a smaller id.")
    ] = None,
) -> Entries:
    """List what was done; nobody can change it."""
    found = market.audit.entries(before=before, action=action)
    return Entries(
        entries=[
            Entry(
                id=one.id,
                at=one.at,
                email=one.email,
                action=one.action,
                subject=one.subject,
                details=one.details,
                address=one.address,
            )
            for one in found
        ]
    )
