"""Review of look-alikes: people confirm or reject one proposed group after the other."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import GroupState
from satchel.lookalikes.differences import differences
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.pages.review import (
    MOST_ID,
    WHO_CHARS,
    render_for,
    render_history,
    reviewer,
    signed,
)
from satchel.web.signatures import Sign
from satchel.web.state import Server, ServerState

PATH: Final = "/review/look-alikes"
PHOTOS_SHOWN: Final = 4
"""Photos of each product of a group."""


class GroupForm(BaseModel):
    """A decision on a group; `code`: which of its products look the same."""

    group: int = Field(ge=0, le=MOST_ID)
    choice: Literal["confirm", "reject"]
    code: list[Annotated[str, Field(max_length=200)]] = Field(default_factory=list, max_length=100)
    who: str = Field("", max_length=WHO_CHARS)


class UndoGroupForm(BaseModel):
    """Which decision to undo."""

    decision: int = Field(ge=0, le=MOST_ID)
    who: str = Field("", max_length=WHO_CHARS)
    back: Literal["review", "decisions"] = "review"


router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[allow(Role.EXPERT)],
)


@router.get("")
def look_alikes(
    request: Request, server: Server, after: Annotated[int, Query(ge=0, le=MOST_ID)] = 0
) -> Response:
    """Show the next proposed group, its products side by side."""
    template = "_look_alikes.html" if is_fragment(request) else "look_alikes.html"
    return pages_of(request).render(request, template, **_question(request, server, after))


@router.get("/decisions")
def decided_groups(request: Request, server: Server) -> Response:
    """Show the last decisions, each with a button to undo it."""
    history = server.workspace.catalogue.look_alikes.history()
    return render_history(request, history, review=PATH, here="look-alikes")


@router.post("/decide")
def decide_group(
    request: Request, server: Server, sign: Sign, form: Annotated[GroupForm, Form()]
) -> Response:
    """Confirm a group or a part of it, or reject it, and show the next."""
    choice = Choice.CONFIRM_GROUP if form.choice == "confirm" else Choice.REJECT_GROUP
    store = server.workspace.catalogue.look_alikes
    store.decide(choice, form.group, form.code, by=sign(form.who))
    return _onwards(request, server, form.who, after=form.group)


@router.post("/undo")
def undo_group(
    request: Request, server: Server, sign: Sign, form: Annotated[UndoGroupForm, Form()]
) -> Response:
    """Undo a decision, and show its group again."""
    store = server.workspace.catalogue.look_alikes
    undone = store.undo(form.decision, by=sign(form.who))
    if form.back == "decisions":
        return RedirectResponse(f"{PATH}/decisions", 303)
    return _onwards(request, server, form.who, after=max(0, (undone.group or 0) - 1))


def _onwards(request: Request, server: ServerState, who: str, *, after: int) -> Response:
    """Answer with the group after this one, and keep the reviewer's name."""
    if is_fragment(request):
        values = _question(request, server, after)
        return signed(render_for(request, "_look_alikes.html", values, who), who)
    return signed(RedirectResponse(f"{PATH}?after={after}", 303), who)


def _question(request: Request, server: ServerState, after: int) -> dict[str, Any]:
    """Return what the page shows of the next group."""
    catalogue = server.workspace.catalogue
    store = catalogue.look_alikes
    group = next(iter(store.in_state(GroupState.PROPOSED, after=after, limit=1)), None)
    products = catalogue.products_by_id(group.products) if group else []
    return {
        "after": after,
        "left": store.count(GroupState.PROPOSED),
        "who": reviewer(request),
        "group": group,
        "members": [
            (product, _photos(server, product.code, first))
            for product, first in zip(products, group.photos if group else (), strict=True)
        ],
        "differences": differences(products, server.workspace.settings.catalogue.visible)
        if group
        else (),
        "last": next(iter(store.history(limit=1, standing=True)), None),
        "skip": f"{PATH}?after={group.number}" if group else None,
        "again": PATH,
    }


def _photos(server: ServerState, code: str, first: str | None) -> list[Any]:
    """Return a product's kept photos, or any where it has none; `first` before the others."""
    photos = server.workspace.catalogue.photos_of(code)
    shown = [photo for photo in photos if photo.state == "kept"] or photos
    return sorted(shown, key=lambda photo: photo.sha256 != first)[:PHOTOS_SHOWN]
