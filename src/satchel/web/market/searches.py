"""Saved searches on the page of the account, and the page that stops their e-mails."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import UnknownSearch
from satchel.market.sale.searches import MAX_NAME_CHARS, MAX_TOKEN_CHARS, MOST_ID
from satchel.web.access import EVERYBODY
from satchel.web.market.account import OWN
from satchel.web.market.account import PATH as ACCOUNT
from satchel.web.market.api_listings import actor_of
from satchel.web.market.api_sale import SearchedFor
from satchel.web.market.state import Market
from satchel.web.pages.rendering import pages_of
from satchel.web.visitors import Visitor, Who

PATH: Final = f"{ACCOUNT}/searches"

Number = Annotated[int, Form(ge=0, le=MOST_ID)]
Name = Annotated[str, Form(max_length=MAX_NAME_CHARS)]
Token = Annotated[str, Query(max_length=MAX_TOKEN_CHARS)]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.post(PATH, dependencies=[OWN])
def save_search(market: Market, who: Who, wanted: SearchedFor, name: Name = "") -> Response:
    """Save the search of the address, and show all."""
    market.searches.save(_account(who), wanted, name)
    return _back()


@router.post(f"{PATH}/rename", dependencies=[OWN])
def rename_search(market: Market, who: Who, search: Number, name: Name = "") -> Response:
    """Rename a search."""
    market.searches.rename(_account(who), search, name)
    return _back()


@router.post(f"{PATH}/mails", dependencies=[OWN])
def switch_mails(
    market: Market, who: Who, search: Number, on: Annotated[bool, Form()] = False
) -> Response:
    """Switch the e-mails of a search on or off."""
    market.searches.set_mails(_account(who), search, on=on)
    return _back()


@router.post(f"{PATH}/delete", dependencies=[OWN])
def delete_search(market: Market, who: Who, search: Number) -> Response:
    """Delete a search."""
    market.searches.remove(_account(who), search)
    return _back()


@router.get("/unsubscribe", dependencies=[EVERYBODY])
def unsubscribe_page(request: Request, market: Market, token: Token = "") -> Response:
    """Show a button that stops the e-mails: programs that scan e-mails open links, too."""
    return _unsubscribing(request, market, token, stop=False)


@router.post("/unsubscribe", dependencies=[EVERYBODY])
def unsubscribe(request: Request, market: Market, token: Token = "") -> Response:
    """Stop the e-mails of a search, without a log-in: mail programs do it too (RFC 8058)."""
    return _unsubscribing(request, market, token, stop=True)


def _unsubscribing(request: Request, market: Market, token: str, *, stop: bool) -> Response:
    try:
        found = market.searches.unsubscribe(token) if stop else market.searches.by_token(token)
    except UnknownSearch:
        return pages_of(request).render(request, "market/unsubscribe.html", 404, search=None)
    return pages_of(request).render(request, "market/unsubscribe.html", search=found)


def _account(who: Visitor) -> int:
    account = actor_of(who).account
    assert account is not None
    return account


def _back() -> Response:
    return RedirectResponse(f"{ACCOUNT}#searches", 303)
