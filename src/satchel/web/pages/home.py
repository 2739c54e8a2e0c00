"""`/`: the page that identifies photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.filters import parse_where
from satchel.web.api.filters import Pairs
from satchel.web.identification import AskedPhotos, answer
from satchel.web.middleware.departures import is_gone
from satchel.web.pages.filters import filter_selects
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.problems import problem_of
from satchel.web.sessions import remember, session_of
from satchel.web.state import Server, ServerState

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/")
def home(request: Request, server: Server, where: Annotated[Pairs, Query()] = ()) -> Response:
    """Show where photos are dropped."""
    values = _home_values(server, where)
    return pages_of(request).render(request, "index.html", **values, found=None)


@router.post("/identify")
def identify(
    request: Request,
    server: Server,
    item: AskedPhotos,
    where: Annotated[Pairs, Form()] = (),
) -> Response:
    """Answer an identification: the part below the photos, or without JavaScript the page."""
    session, with_script = session_of(request), is_fragment(request)
    given = answer(
        server,
        session,
        item,
        where=parse_where(where),
        keep=with_script,
        gone=is_gone(request),
    )
    pages = pages_of(request)
    values: dict[str, Any] = {
        "found": given.found,
        "answer": given.token,
        "kept": given.kept,
        "refused": [(error.position, problem_of(error).kind.slug) for error in given.refused],
    }
    if not with_script:
        return pages.render(request, "index.html", **_home_values(server, where), **values)
    limits = server.workspace.settings.photos
    response = pages.render(request, "_result.html", limits=limits, **values)
    remember(response, session)
    return response


@router.get("/identify")
def identify_again() -> Response:
    """Lead a reader who reloads an answer back to the start."""
    return RedirectResponse("/", 303)


def _home_values(server: ServerState, where: Sequence[str]) -> dict[str, Any]:
    return {
        "size": server.workspace.catalogue.size(),
        "indexed": server.indexed(),
        "selects": filter_selects(server, where),
        "limits": server.workspace.settings.photos,
    }
