"""`/admin`: accounts and the audit log, for admins."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import AccountError
from satchel.market.accounts import audit, store
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.market.account import MOST_ID
from satchel.web.market.forms import Email, show_form
from satchel.web.market.state import Market
from satchel.web.visitors import Who

PATH: Final = "/admin"
ADMINS: Final = allow(Role.ADMIN)
RECENT: Final = allow(Role.ADMIN, recent=True)
MAX_OFFSET: Final = 1_000_000

RoleFilter = Literal["", "seller", "expert", "admin"]


class AccountForm(BaseModel):
    """What an admin decides about an account."""

    email: Email
    choice: Literal["seller", "expert", "admin", "disable", "enable"]


router = APIRouter(prefix=PATH, include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/accounts", dependencies=[ADMINS])
def accounts(
    request: Request,
    market: Market,
    query: Annotated[str, Query(max_length=200)] = "",
    role: RoleFilter = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    """Show the accounts, or those that match."""
    return _accounts(request, market, query=query.strip(), role=role, offset=offset)


@router.post("/accounts", dependencies=[RECENT])
def change_account(
    request: Request, market: Market, who: Who, form: Annotated[AccountForm, Form()]
) -> Response:
    """Give an account another role, or let it do nothing."""
    assert who.account is not None
    try:
        match form.choice:
            case "disable":
                market.accounts.disable(form.email, by=who.account.id)
            case "enable":
                market.accounts.enable(form.email, by=who.account.id)
            case _:
                market.accounts.set_role(form.email, Role(form.choice), by=who.account.id)
    except AccountError as error:
        return _accounts(request, market, error, query=form.email)
    return RedirectResponse(f"{PATH}/accounts?{urlencode({'query': form.email})}", 303)


@router.get("/audit", dependencies=[ADMINS])
def audit_log(
    request: Request,
    market: Market,
    action: Annotated[str, Query(max_length=40)] = "",
    before: Annotated[int | None, Query(ge=0, le=MOST_ID)] = None,
) -> Response:
    """Show what was done, the latest first; nobody can change it."""
    entries = market.audit.entries(before=before, action=action.strip())
    older = {"action": action, "before": entries[-1].id} if len(entries) == audit.PAGE else None
    return show_form(
        request,
        "audit.html",
        entries=entries,
        action=action,
        older=None if older is None else f"{PATH}/audit?{urlencode(older)}",
    )


def _accounts(
    request: Request,
    market: Market,
    error: AccountError | None = None,
    *,
    query: str = "",
    role: RoleFilter = "",
    offset: int = 0,
) -> Response:
    total, found = market.accounts.page(query, role=Role(role) if role else None, offset=offset)
    after: dict[str, Any] = {"query": query, "role": role, "offset": offset + store.PAGE}
    more = f"{PATH}/accounts?{urlencode(after)}" if offset + len(found) < total else None
    return show_form(
        request, "accounts.html", error, accounts=found, total=total, query=query, role=role,
        more=more,
    )  # fmt: skip
