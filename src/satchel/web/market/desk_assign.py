"""`/desk/ID/assign`: an admin gives a case to an expert."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.market.api_desk import expert_of
from satchel.web.market.api_listings import Id
from satchel.web.market.desk import PATH, Here

MOST_ID: Final = 2**63 - 1

router = APIRouter(prefix=PATH, include_in_schema=False, default_response_class=HTMLResponse)


@router.post("/{listing}/assign", dependencies=[allow(Role.ADMIN)])
def assign(here: Here, listing: Id, expert: Annotated[int, Form(ge=0, le=MOST_ID)]) -> Response:
    """Give a case to an expert for a day, and show the queue."""
    here.market.goods.queue.assign(listing, expert_of(here.market, expert), here.actor)
    return RedirectResponse(here.wanted.link(), 303)
