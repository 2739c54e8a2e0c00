"""`/forgotten` and `/reset`: a new password by e-mail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import AccountError
from satchel.web.access import EVERYBODY
from satchel.web.market.forms import FORM, Email, Password, Token, show_form, show_log_in
from satchel.web.market.state import Market
from satchel.web.threads import patient
from satchel.web.visitors import Who


class ResetForm(BaseModel):
    """The secret of an e-mail, and the new password."""

    token: Token
    password: Password


router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/forgotten", dependencies=[EVERYBODY])
def forgotten_page(request: Request) -> Response:
    """Ask for the e-mail address."""
    return show_form(request, "forgotten.html", email="")


@router.post("/forgotten", dependencies=[FORM])
def forgotten(
    request: Request, market: Market, who: Who, email: Annotated[Email, Form()] = ""
) -> Response:
    """Send an e-mail, if there is somebody to send it to: the page does not say."""
    market.rates.reset(who.address)
    try:
        if market.rates.letter(email):
            market.entry.forget_password(email, address=who.address)
    except AccountError as error:
        return show_form(request, "forgotten.html", error, email=email)
    return show_form(request, "mailed.html", about="reset", email=email)


@router.get("/reset", dependencies=[EVERYBODY])
def reset_page(request: Request, market: Market, token: Annotated[Token, Query()] = "") -> Response:
    """Ask for the new password."""
    try:
        market.entry.may_reset(token)
    except AccountError as error:
        return show_form(request, "reset.html", error, token="")
    return show_form(request, "reset.html", token=token)


@router.post("/reset", dependencies=[FORM])
@patient
def reset(
    request: Request, market: Market, who: Who, form: Annotated[ResetForm, Form()]
) -> Response:
    """Choose a new password; then one logs in with it."""
    market.rates.reset(who.address)
    try:
        account = market.entry.reset_password(form.token, form.password, address=who.address)
    except AccountError as error:
        token = "" if error.reason == "token" else form.token
        return show_form(request, "reset.html", error, token=token)
    return show_log_in(request, email=account.email, confirmed=True)
