"""`/register`, `/confirm`, `/login`, `/logout`: the ways in and out."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import AccountError
from satchel.market.accounts.entry import Registration
from satchel.web.access import EVERYBODY
from satchel.web.market.forms import (
    FORM,
    Email,
    Name,
    Next,
    Password,
    Token,
    local_target,
    show_form,
    show_log_in,
)
from satchel.web.market.logging_in import locale_of, log_in, log_out
from satchel.web.market.state import Market, MarketState
from satchel.web.market.terms import require_version
from satchel.web.problems import Kind, Refusal
from satchel.web.threads import patient
from satchel.web.visitors import Who

CLOSED: Final = Kind(404, "not-found", "There is no registration here")


class RegisterForm(BaseModel):
    """What a person gives to register."""

    email: Email
    password: Password
    name: Name = ""
    terms: str = Field("", max_length=32)


class LogInForm(BaseModel):
    """E-mail address and password, and the page to go to then."""

    email: Email
    password: Password
    next: Next = ""


router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/register", dependencies=[EVERYBODY])
def register_page(request: Request, market: Market) -> Response:
    """Show the form to register."""
    require_open(market)
    return _register_form(request, market)


@router.post("/register", dependencies=[FORM])
@patient
def register(
    request: Request, market: Market, who: Who, form: Annotated[RegisterForm, Form()]
) -> Response:
    """Register, and ask to open the e-mail: the same for addresses that have an account."""
    require_open(market)
    market.rates.register(who.address)
    try:
        require_version(market, form.terms)
        given = Registration(form.email, form.password, form.name, locale_of(request), form.terms)
        if market.rates.letter(form.email):
            market.entry.register(given, address=who.address)
    except AccountError as error:
        return _register_form(request, market, error, email=form.email, name=form.name)
    return show_form(request, "mailed.html", about="register", email=form.email)


@router.get("/confirm", dependencies=[EVERYBODY])
def confirm_page(request: Request, token: Annotated[Token, Query()] = "") -> Response:
    """Show a button that confirms the address: programs that scan e-mails open links, too."""
    return show_form(request, "confirm.html", token=token)


@router.post("/confirm", dependencies=[FORM])
def confirm(
    request: Request, market: Market, who: Who, token: Annotated[Token, Form()] = ""
) -> Response:
    """Confirm an e-mail address, and lead to the log-in."""
    try:
        account = market.entry.confirm(token, address=who.address)
    except AccountError as error:
        return show_form(request, "confirm.html", error, token="")
    return show_log_in(request, email=account.email, confirmed=True)


@router.get("/email", dependencies=[EVERYBODY])
def email_page(request: Request, token: Annotated[Token, Query()] = "") -> Response:
    """Show a button that changes the address: programs that scan e-mails open links, too."""
    return show_form(request, "email.html", token=token)


@router.post("/email", dependencies=[FORM])
def change_email(
    request: Request, market: Market, who: Who, token: Annotated[Token, Form()] = ""
) -> Response:
    """Change an e-mail address by the link that was sent to the new one."""
    try:
        account = market.entry.confirm_email(token, address=who.address)
    except AccountError as error:
        return show_form(request, "email.html", error, token="")
    if who.session is not None:
        return RedirectResponse("/account", 303)
    return show_log_in(request, email=account.email, confirmed=True)


@router.get("/login", dependencies=[EVERYBODY])
def log_in_page(
    request: Request,
    next: Annotated[Next, Query()] = "",
) -> Response:
    """Show the form to log in."""
    return show_log_in(request, next_=next)


@router.post("/login", dependencies=[FORM])
@patient
def log_in_by_password(
    request: Request, market: Market, who: Who, form: Annotated[LogInForm, Form()]
) -> Response:
    """Log in by password."""
    market.rates.log_in(who.address, form.email)
    try:
        account = market.entry.check_password(form.email, form.password, address=who.address)
    except AccountError as error:
        return show_log_in(request, error, email=form.email, next_=form.next)
    response = RedirectResponse(local_target(form.next), 303)
    log_in(request, market, who, account, response, way="password")
    return response


@router.post("/logout", dependencies=[FORM])
def log_out_here(request: Request, market: Market, who: Who) -> Response:
    """Log out in this browser."""
    response = RedirectResponse("/", 303)
    log_out(request, market, who, response)
    return response


def _register_form(
    request: Request,
    market: MarketState,
    error: AccountError | None = None,
    *,
    email: str = "",
    name: str = "",
) -> Response:
    values = {"email": email, "name": name, "terms_version": market.terms.version}
    return show_form(request, "register.html", error, **values)


def require_open(market: Market) -> None:
    """Check that people may register.

    Raises:
        Refusal: they may not.
    """
    if not market.settings.registration:
        raise Refusal(CLOSED, "this server lets nobody register; ask an admin for an account")
