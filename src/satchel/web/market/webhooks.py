"""`/webhooks`: addresses that are informed of what happens, and what was sent to them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import FetchError, UsageError
from satchel.market.roles import Role
from satchel.market.webhooks.records import EVENTS, EVERY, PING, Webhook
from satchel.web.access import allow
from satchel.web.market.state import Market, by_of
from satchel.web.pages.rendering import pages_of
from satchel.web.problems import problem_of
from satchel.web.threads import patient
from satchel.web.visitors import Who

PATH: Final = "/webhooks"
DELIVERIES_SHOWN: Final = 50
MOST_ID: Final = 2**63 - 1
ADMINS: Final = allow(Role.ADMIN)
RECENT: Final = allow(Role.ADMIN, recent=True)

Number = Annotated[int, Form(ge=0, le=MOST_ID)]

router = APIRouter(prefix=PATH, include_in_schema=False, default_response_class=HTMLResponse)


class WebhookForm(BaseModel):
    """A new webhook; no event means all of them."""

    url: str = Field("", max_length=2_000)
    event: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list, max_length=50)


@router.get("", dependencies=[ADMINS])
def show_webhooks(request: Request, market: Market) -> Response:
    """Show the webhooks and the last deliveries."""
    return _page(request, market)


@router.post("", dependencies=[RECENT])
@patient
def add(
    request: Request, market: Market, who: Who, form: Annotated[WebhookForm, Form()]
) -> Response:
    """Add a webhook, and show its secret this once."""
    try:
        made = market.webhooks.add(form.url.strip(), form.event or [EVERY], by=by_of(who))
    except (FetchError, UsageError) as error:
        return _page(request, market, error=error, url=form.url)
    return _page(request, market, made=made)


@router.post("/secret", dependencies=[RECENT])
def new_secret(request: Request, market: Market, who: Who, webhook: Number) -> Response:
    """Give a webhook a new secret, and show it this once."""
    return _page(request, market, made=market.webhooks.replace_secret(webhook, by=by_of(who)))


@router.post("/switch", dependencies=[ADMINS])
def switch(market: Market, who: Who, webhook: Number, on: Annotated[bool, Form()]) -> Response:
    """Switch a webhook on or off."""
    market.webhooks.set_active(webhook, on, by=by_of(who))
    return RedirectResponse(PATH, 303)


@router.post("/ping", dependencies=[ADMINS])
def ping(market: Market, webhook: Number) -> Response:
    """Send a trial message."""
    market.webhooks.ping(webhook)
    return RedirectResponse(f"{PATH}#deliveries", 303)


@router.post("/remove", dependencies=[ADMINS])
def remove(market: Market, who: Who, webhook: Number) -> Response:
    """Delete a webhook with its deliveries."""
    market.webhooks.remove(webhook, by=by_of(who))
    return RedirectResponse(PATH, 303)


@router.post("/replay", dependencies=[ADMINS])
def replay(market: Market, delivery: Annotated[str, Form(max_length=60)]) -> Response:
    """Send a message again."""
    market.webhooks.replay(delivery)
    return RedirectResponse(f"{PATH}#deliveries", 303)


def _page(
    request: Request,
    market: Market,
    *,
    made: Webhook | None = None,
    error: FetchError | UsageError | None = None,
    url: str = "",
) -> Response:
    """Show the page.

    Args:
        made: whose secret is shown this once.
        error: why `url` was not added.
    """
    values: dict[str, Any] = {
        "webhooks": market.webhooks.all(),
        "deliveries": market.webhooks.deliveries(limit=DELIVERIES_SHOWN),
        "events": [event for event in EVENTS if event != PING],
        "made": made,
        "error": error,
        "url": url,
    }
    status = problem_of(error).kind.status if error else 200
    return pages_of(request).render(request, "market/webhooks.html", status, **values)
