"""`/login/kakao`, `/login/naver`, `/link`: log-in by other services."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import AccountError, UploadExpired
from satchel.market.accounts.identities import Newcomer
from satchel.market.accounts.providers import KAKAO, NAVER, Flow
from satchel.web.access import EVERYBODY
from satchel.web.market.account import OWN, PATH, RECENT
from satchel.web.market.forms import FORM, Next, Token, local_target, show_form, show_log_in
from satchel.web.market.logging_in import locale_of, log_in
from satchel.web.market.state import Market, MarketState
from satchel.web.problems import Kind, Refusal
from satchel.web.threads import patient
from satchel.web.visitors import Visitor, Who, give_cookie

FLOW_BYTES: Final = 1
NOT_SET_UP = Kind(404, "not-found", "There is no log-in by this service here")


class Name(StrEnum):
    """The services that there are."""

    KAKAO = KAKAO
    NAVER = NAVER


Code = Annotated[str, Query(max_length=2_000)]
State = Annotated[str, Query(max_length=64)]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/login/{provider}", dependencies=[EVERYBODY])
@patient
def log_in_by(
    request: Request,
    market: Market,
    who: Who,
    provider: Name,
    next: Annotated[Next, Query()] = "",
) -> Response:
    """Lead to another service, which leads back."""
    market.rates.begin(who.address)
    return _leave(request, market, who, Flow.begin(provider.value, local_target(next)))


@router.get(f"{PATH}/identities/{{provider}}", dependencies=[RECENT])
@patient
def add_identity(request: Request, market: Market, who: Who, provider: Name) -> Response:
    """Lead to another service, by which the person may log in, too, from then on."""
    assert who.account is not None
    flow = Flow.begin(provider.value, f"{PATH}#identities", attach_to=who.account.id)
    return _leave(request, market, who, flow)


@router.get("/login/{provider}/back", dependencies=[EVERYBODY])
@patient
def back(
    *,
    request: Request,
    market: Market,
    who: Who,
    provider: Name,
    state: State = "",
    code: Code = "",
) -> Response:
    """Take what another service says; the flow must have begun in this browser."""
    market.rates.begin(who.address)
    try:
        return _arrive(request, market, who, _flow(market, who, provider, state), code)
    except AccountError as error:
        return show_log_in(request, error)


@router.get("/link", dependencies=[EVERYBODY])
def link_page(request: Request, token: Annotated[Token, Query()] = "") -> Response:
    """Show a button that confirms a log-in by another service."""
    return show_form(request, "link.html", token=token)


@router.post("/link", dependencies=[FORM])
def link(
    request: Request, market: Market, who: Who, token: Annotated[Token, Form()] = ""
) -> Response:
    """Confirm a log-in by another service, and log in."""
    try:
        account = market.identities.confirm(token, who.secret, address=who.address)
    except AccountError as error:
        return show_form(request, "link.html", error, token="")
    response = RedirectResponse(PATH, 303)
    log_in(request, market, who, account, response, way="link")
    return response


@router.post(f"{PATH}/identities/remove", dependencies=[OWN])
def remove_identity(market: Market, who: Who, provider: Annotated[Name, Form()]) -> Response:
    """Let the person log in by a service no more."""
    assert who.account is not None
    market.identities.remove(who.account.id, provider.value, address=who.address)
    return RedirectResponse(f"{PATH}#identities", 303)


def _leave(request: Request, market: MarketState, who: Visitor, flow: Flow) -> Response:
    provider = market.providers.get(flow.provider)
    if provider is None:
        raise Refusal(NOT_SET_UP, f"nobody logs in by {flow.provider} here")
    state = market.flows.put(who.secret, flow, FLOW_BYTES)
    assert state is not None
    try:
        response: Response = RedirectResponse(provider.address(flow, state), 303)
    except AccountError as error:
        return show_log_in(request, error)
    if who.fresh:
        give_cookie(request, response, who.secret)
    return response


def _flow(market: MarketState, who: Visitor, provider: Name, state: str) -> Flow:
    try:
        flow = market.flows.take(who.secret, state)
    except UploadExpired:
        flow = None
    if flow is None or flow.provider != provider.value:
        raise AccountError(
            "expected a log-in that began in this browser within ten minutes; begin again", "flow"
        )
    return flow


def _arrive(request: Request, market: MarketState, who: Visitor, flow: Flow, code: str) -> Response:
    if not code:
        raise AccountError("the log-in was cancelled; try again", "provider")
    claims = market.providers[flow.provider].claims(flow, code)
    response = RedirectResponse(flow.target, 303)
    if flow.attach_to is not None:
        if who.account is None or who.account.id != flow.attach_to:
            raise AccountError("expected to be logged in as before; begin again", "flow")
        market.identities.attach(who.account, claims, address=who.address)
        return response
    newcomer = Newcomer(locale_of(request), who.secret, who.address, market.settings.registration)
    account = market.identities.enter(claims, newcomer)
    if account is None:
        return show_form(request, "mailed.html", about="link", email=claims.email)
    log_in(request, market, who, account, response, way=flow.provider)
    return response
