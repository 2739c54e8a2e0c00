"""`/`: the page that identifies photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.filters import parse_where
from satchel.errors import CatalogueError, UsageError
from satchel.web.access import EVERYBODY
from satchel.web.api.filters import Pairs
from satchel.web.identification import Answer, Asked, AskedPhotos, answer
from satchel.web.links import answer_link
from satchel.web.middleware.departures import is_gone
from satchel.web.pages.filters import filter_selects
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.problems import problem_of
from satchel.web.sessions import remember, session_of
from satchel.web.state import Server, ServerState
from satchel.web.threads import patient
from satchel.web.uploads import KeptPhoto

RECENT: Final = 4
"""Cases that the start page shows."""

EXAMPLES: Final = 12
"""Products among which one with a photo is looked for."""

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[EVERYBODY]
)


@router.get("/")
def home(request: Request, server: Server, where: Annotated[Pairs, Query()] = ()) -> Response:
    """Show where photos are dropped."""
    values = home_values(server, where)
    return pages_of(request).render(request, "index.html", **values, found=None, kept=())


@router.post("/example")
@patient
def example(
    request: Request, server: Server, code: Annotated[str, Form(max_length=200)]
) -> Response:
    """Identify a product's own photo, to show what an answer looks like."""
    photos = server.workspace.catalogue.photos_of(code)
    if not photos:
        raise CatalogueError(f"the product {code!r} has no photo; choose another one")
    data, session = server.workspace.photos.read(photos[0].sha256), session_of(request)
    token = server.uploads.put(session, KeptPhoto(f"{code}.jpg", data), len(data))
    if token is None:
        raise UsageError("the server keeps no photos: raise kept_mb in its settings")
    given = answer(
        server, session, Asked((), [token], None), where={}, keep=True, gone=is_gone(request)
    )
    response = RedirectResponse(answer_link(given.token) if given.token else "/", 303)
    remember(response, session)
    return response


@router.post("/identify")
@patient
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
        keep=True,
        gone=is_gone(request),
    )
    pages, values = pages_of(request), answer_values(server, given)
    response: Response
    if with_script:
        response = pages.render(request, "_result.html", **values)
    elif given.token:
        response = RedirectResponse(answer_link(given.token), 303)
    else:
        response = pages.render(request, "index.html", **home_values(server, where) | values)
    remember(response, session)
    return response


def answer_values(server: ServerState, given: Answer) -> dict[str, Any]:
    """What the page shows of an answer."""
    return {
        "found": given.found,
        "answer": given.token,
        "kept": given.kept,
        "refused": [(error.position, problem_of(error).kind.slug) for error in given.refused],
        "limits": server.workspace.settings.photos,
        "days": server.workspace.settings.serve.keep_cases_days,
    }


def home_values(server: ServerState, where: Sequence[str]) -> dict[str, Any]:
    """What the page shows around an answer."""
    catalogue = server.workspace.catalogue
    some = catalogue.products(limit=EXAMPLES).products if server.uploads.max_bytes else ()
    return {
        "recent": catalogue.cases.recent(limit=RECENT),
        "example": next((one for one in some if one[1]), None),
        "size": server.workspace.catalogue.size(),
        "indexed": server.indexed(),
        "selects": filter_selects(server, where),
        "limits": server.workspace.settings.photos,
        "side_px": server.workspace.settings.serve.upload_side_px,
    }
