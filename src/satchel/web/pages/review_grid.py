"""Review of photos as a grid: many are chosen and decided on at once."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.decisions import Choice
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.pages.review import KIND, MOST_ID, Place, State, render_for, reviewer, signed
from satchel.web.signatures import Sign
from satchel.web.state import Server, ServerState

PAGE_PHOTOS: Final = 60
PATH: Final = "/review/grid"

LinkId = Annotated[int, Field(ge=0, le=MOST_ID)]
After = Annotated[int, Field(ge=0, le=MOST_ID)]


class GridDecisionForm(Place):
    """One decision on several photos; `after` is where the page begins."""

    after: After = 0
    link_id: list[LinkId] = Field(min_length=1, max_length=PAGE_PHOTOS)
    choice: Literal["keep", "drop"]


class GridUndoForm(Place):
    """Which decision to undo."""

    after: After = 0
    decision: int = Field(ge=0, le=MOST_ID)


router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[allow(Role.EXPERT)],
)


@router.get("")
def review_grid(
    request: Request,
    server: Server,
    state: Annotated[State, Query()] = "doubtful",
    kind: Annotated[str, Query(pattern=KIND)] = "",
    after: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
) -> Response:
    """Show the photos in question, to choose several of them."""
    values = _values(request, server, state, kind, after)
    template = "_review_grid.html" if is_fragment(request) else "review_grid.html"
    return pages_of(request).render(request, template, **values)


@router.post("/decide")
def decide_on_many(
    request: Request, server: Server, sign: Sign, form: Annotated[GridDecisionForm, Form()]
) -> Response:
    """Keep or drop the chosen photos, in one decision; the others stay, and more come up."""
    links = list(dict.fromkeys(form.link_id))
    by = sign(form.who)
    server.workspace.catalogue.review.decide(Choice(form.choice), links, by=by)
    server.reindexing.soon()
    return _onwards(request, server, form, form.after)


@router.post("/undo")
def undo_of_many(
    request: Request, server: Server, sign: Sign, form: Annotated[GridUndoForm, Form()]
) -> Response:
    """Undo a decision, and show its photos again."""
    server.workspace.catalogue.review.undo(form.decision, by=sign(form.who))
    server.reindexing.soon()
    return _onwards(request, server, form, form.after)


def _onwards(request: Request, server: ServerState, place: Place, after: int) -> Response:
    if is_fragment(request):
        values = _values(request, server, place.state, place.kind, after)
        return signed(render_for(request, "_review_grid.html", values, place.who), place.who)
    return signed(RedirectResponse(_address(place.state, place.kind, after), 303), place.who)


def _values(
    request: Request, server: ServerState, state: State, kind: str, after: int
) -> dict[str, Any]:
    store = server.workspace.catalogue.review
    found = store.in_state(state, kind=kind or None, after=after, limit=PAGE_PHOTOS + 1)
    photos = found[:PAGE_PHOTOS]
    more = len(found) > PAGE_PHOTOS
    return {
        "state": state,
        "kind": kind,
        "after": after,
        "left": store.count(state),
        "photos": photos,
        "kinds": sorted(
            {reason["kind"] for one in photos for reason in one.reasons} | {kind} - {""}
        ),
        "next_page": _address(state, kind, photos[-1].link_id) if more else None,
        "first_page": _address(state, kind, 0) if after else None,
        "address": lambda wanted: _address(state, wanted, 0),
        "last": next(iter(store.history(limit=1, standing=True)), None),
        "who": reviewer(request),
    }


def _address(state: str, kind: str, after: int) -> str:
    query = {"state": state if state != "doubtful" else "", "kind": kind, "after": after or ""}
    given = urlencode({name: value for name, value in query.items() if value})
    return f"{PATH}?{given}" if given else PATH
