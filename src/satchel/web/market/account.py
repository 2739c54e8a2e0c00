"""`/account`: what a person sees and changes of their own account."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import AccountError
from satchel.market.roles import Role, Scope, scopes_of
from satchel.market.sale.searches import address_of
from satchel.web.access import allow
from satchel.web.market.devices import device
from satchel.web.market.forms import Email, Name, Password, show_form
from satchel.web.market.state import Market
from satchel.web.threads import patient
from satchel.web.visitors import Who

MOST_ID: Final = 2**63 - 1
OWN: Final = allow(Role.SELLER)
RECENT: Final = allow(Role.SELLER, recent=True)
PATH: Final = "/account"


class PasswordForm(BaseModel):
    """The present password, and the new one."""

    old: Password = ""
    new: Password


class NameForm(BaseModel):
    """The name that others see."""

    name: Name = ""


class EmailForm(BaseModel):
    """The new e-mail address."""

    email: Email


class KeyForm(BaseModel):
    """A new API key."""

    name: Name
    scope: list[Scope] = Field(default_factory=list, max_length=len(Scope))


Id = Annotated[int, Form(ge=0, le=MOST_ID)]

router = APIRouter(prefix=PATH, include_in_schema=False, default_response_class=HTMLResponse)


@router.get("", dependencies=[allow(Role.SELLER, before_terms=True)])
def account(request: Request, market: Market, who: Who) -> Response:
    """Show the account, its sessions and keys."""
    return _page(request, market, who)


@router.post("/password", dependencies=[OWN])
@patient
def change_password(
    request: Request, market: Market, who: Who, form: Annotated[PasswordForm, Form()]
) -> Response:
    """Change the password; the person is logged out everywhere else."""
    assert who.account is not None
    assert who.session is not None
    market.rates.log_in(who.address, who.account.email)
    try:
        market.entry.change_password(
            who.account, form.old, form.new, session=who.session.id, address=who.address
        )
    except AccountError as error:
        return _page(request, market, who, error, about="password")
    return _page(request, market, who, done="password")


@router.post("/name", dependencies=[OWN])
def rename(market: Market, who: Who, form: Annotated[NameForm, Form()]) -> Response:
    """Change the name that others see."""
    assert who.account is not None
    market.entry.rename(who.account, form.name, address=who.address)
    return RedirectResponse(f"{PATH}#person", 303)


@router.post("/email", dependencies=[RECENT])
def ask_email(
    request: Request, market: Market, who: Who, form: Annotated[EmailForm, Form()]
) -> Response:
    """Ask the new e-mail address; the page says the same of one that has an account."""
    assert who.account is not None
    try:
        if market.rates.letter(form.email) and market.rates.letter(who.account.email):
            market.entry.ask_email(who.account, form.email, address=who.address)
    except AccountError as error:
        return _page(request, market, who, error, about="email")
    return _page(request, market, who, done="email")


@router.post("/sessions/end", dependencies=[OWN])
def end_session(market: Market, who: Who, session: Id) -> Response:
    """Log out in another browser."""
    assert who.account is not None
    market.sessions.end(who.account.id, session, address=who.address)
    return RedirectResponse(f"{PATH}#sessions", 303)


@router.post("/sessions/end-others", dependencies=[OWN])
def end_other_sessions(market: Market, who: Who) -> Response:
    """Log out everywhere but here."""
    assert who.account is not None
    assert who.session is not None
    market.sessions.end_others(who.account.id, who.session.id, address=who.address)
    return RedirectResponse(f"{PATH}#sessions", 303)


@router.post("/keys", dependencies=[RECENT])
def create_key(
    request: Request, market: Market, who: Who, form: Annotated[KeyForm, Form()]
) -> Response:
    """Make an API key, and show it this once."""
    assert who.account is not None
    try:
        key, _ = market.keys.create(who.account, form.name, form.scope, address=who.address)
    except AccountError as error:
        return _page(request, market, who, error, about="keys")
    return _page(request, market, who, new_key=key)


@router.post("/keys/revoke", dependencies=[OWN])
def revoke_key(market: Market, who: Who, key: Id) -> Response:
    """Let a key count no more."""
    assert who.account is not None
    market.keys.revoke(who.account.id, key, address=who.address)
    return RedirectResponse(f"{PATH}#keys", 303)


@router.post("/passkeys/remove", dependencies=[OWN])
def remove_passkey(market: Market, who: Who, passkey: Id) -> Response:
    """Remove a passkey."""
    assert who.account is not None
    market.passkeys.remove(who.account.id, passkey, address=who.address)
    return RedirectResponse(f"{PATH}#passkeys", 303)


def _page(
    request: Request,
    market: Market,
    who: Who,
    error: AccountError | None = None,
    *,
    about: str | None = None,
    done: str | None = None,
    new_key: str | None = None,
) -> Response:
    """Show the page.

    Args:
        about: the part of it that the error is about.
        done: the part in which something was changed.
        new_key: shown this once.
    """
    assert who.account is not None
    values: dict[str, Any] = {
        "sessions": market.sessions.of(who.account.id),
        "device": device,
        "this_session": who.session.id if who.session else None,
        "keys": market.keys.of(who.account.id),
        "passkeys": market.passkeys.of(who.account.id),
        "identities": market.identities.of(who.account.id),
        "searches": market.searches.of(who.account.id),
        "search_page": address_of,
        "scopes": scopes_of(who.account.role),
        "about": about,
        "done": done,
        "new_key": new_key,
    }
    return show_form(request, "account.html", error, **values)
