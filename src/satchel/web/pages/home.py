"""`/`: the page that identifies photos."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.state import Server, ServerState
from satchel.web.uploads import received

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/")
def home(request: Request, server: Server) -> Response:
    """Show where photos are dropped."""
    return pages_of(request).render(request, "index.html", **_home_values(server), found=None)


@router.post("/identify")
def identify(
    request: Request, server: Server, photos: Annotated[list[UploadFile], File()]
) -> Response:
    """Answer an identification: the part below the photos, or without JavaScript the page."""
    found = server.identify(received(photos))
    if is_fragment(request):
        return pages_of(request).render(request, "_result.html", found=found)
    return pages_of(request).render(request, "index.html", **_home_values(server), found=found)


@router.get("/identify")
def identify_again() -> Response:
    """Lead a reader who reloads an answer back to the start."""
    return RedirectResponse("/", 303)


def _home_values(server: ServerState) -> dict[str, Any]:
    return {
        "size": server.workspace.catalogue.size(),
        "indexed": server.indexed(),
        "limits": server.workspace.settings.photos,
    }
