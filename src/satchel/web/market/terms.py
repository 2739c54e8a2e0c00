"""`/terms`: what people accept, as a page and for programs."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import AccountError
from satchel.market.roles import Role
from satchel.market.terms import blocks
from satchel.web.access import EVERYBODY, allow
from satchel.web.api.openapi import curl, problems
from satchel.web.languages import chosen_language
from satchel.web.market.forms import Next, local_target, show_form
from satchel.web.market.schemas import Body
from satchel.web.market.state import Market, MarketState
from satchel.web.visitors import Who

ASKED: Final = allow(Role.SELLER, before_terms=True)

Version = Annotated[str, Field(max_length=32, description="Version of the terms that was shown.")]

router = APIRouter()


class Terms(BaseModel):
    """The terms, in the language of the request."""

    version: str
    language: str = Field(description="Of the text.")
    text: str = Field(description="Headings begin with `# `; empty lines part paragraphs.")


class Accepting(Body):
    """Acceptance of the terms."""

    version: Version


@router.get(
    "/terms", include_in_schema=False, response_class=HTMLResponse, dependencies=[EVERYBODY]
)
def terms_page(
    request: Request, market: Market, who: Who, next: Annotated[Next, Query()] = ""
) -> Response:
    """Show the terms, and ask those who have not accepted them."""
    return _page(request, market, who, next_=next)


@router.post("/terms", include_in_schema=False, response_class=HTMLResponse, dependencies=[ASKED])
def accept(
    request: Request,
    market: Market,
    who: Who,
    version: Annotated[str, Form(max_length=32)] = "",
    next: Annotated[Next, Form()] = "",
) -> Response:
    """Accept the terms, and go on."""
    assert who.account is not None
    try:
        require_version(market, version)
    except AccountError as error:
        return _page(request, market, who, error, next_=next)
    market.entry.accept_terms(who.account, version)
    return RedirectResponse(local_target(next), 303)


@router.get(
    "/api/v1/terms",
    tags=["accounts"],
    dependencies=[EVERYBODY],
    openapi_extra=curl("curl '{base}/api/v1/terms?lang=ko'"),
)
def terms(request: Request, market: Market) -> Terms:
    """Give the terms that people accept."""
    text, language = market.terms.text(chosen_language(request))
    return Terms(version=market.terms.version, language=language, text=text)


@router.post(
    "/api/v1/account/terms",
    tags=["accounts"],
    status_code=204,
    dependencies=[ASKED],
    responses=problems(401, 403, 422),
    openapi_extra=curl(
        "curl -b cookies.txt -H 'X-CSRF-Token: TOKEN' -H 'Content-Type: application/json' "
        "-d '{\"version\": \"1\"}' '{base}/api/v1/account/terms'"
    ),
)
def accept_terms(market: Market, who: Who, given: Accepting) -> Response:
    """Accept the terms of the present version."""
    assert who.account is not None
    require_version(market, given.version)
    market.entry.accept_terms(who.account, given.version)
    return Response(status_code=204)


def require_version(market: MarketState, version: str) -> None:
    """Check that what a person accepts is what holds: it may have changed since it was shown.

    Raises:
        AccountError: it is not.
    """
    if version != market.terms.version:
        raise AccountError(
            f"expected that the terms of version {market.terms.version} are accepted, got "
            f"{version or 'nothing'}",
            "terms",
        )


def _page(
    request: Request,
    market: MarketState,
    who: Who,
    error: AccountError | None = None,
    *,
    next_: str,
) -> Response:
    text, language = market.terms.text(chosen_language(request))
    version = market.terms.version
    return show_form(
        request,
        "terms.html",
        error,
        blocks=blocks(text),
        text_language=language,
        version=version,
        ask=who.account is not None and who.account.terms not in (None, version),
        next=next_,
    )
