"""`POST /api/v1/identify`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from satchel.web.access import EVERYBODY
from satchel.web.api.filters import QueryFilter, WherePairs, joined
from satchel.web.api.openapi import curl, problems
from satchel.web.identification import AskedPhotos, answer
from satchel.web.middleware.departures import is_gone
from satchel.web.schemas import Identification
from satchel.web.sessions import remember, session_of
from satchel.web.state import Server
from satchel.web.threads import patient

router = APIRouter(dependencies=[EVERYBODY])


@router.post(
    "/api/v1/identify",
    tags=["identification"],
    responses=problems(400, 410, 413, 415, 422, 429, 503),
    openapi_extra=curl(
        "curl -F photos=@front.jpg -F photos=@inside.jpg "
        "'{base}/api/v1/identify?top=5&brand=Maison'"
    ),
)
@patient
def identify(
    *,
    request: Request,
    response: Response,
    server: Server,
    item: AskedPhotos,
    filtered: QueryFilter,
    where: Annotated[WherePairs, Form(description="The same as a field of the form.")] = (),
    keep: Annotated[
        bool, Query(description="Keep the photos for a while and give their tokens in `kept`.")
    ] = False,
    top: Annotated[
        int | None,
        Query(ge=1, le=50, description="Candidates given, at most; default from satchel.toml."),
    ] = None,
) -> Identification:
    """Identify one item from photos of it.

    All photos show the same item. Under a filter only products that pass it take part: several
    values of one attribute are alternatives, of different ones all must fit. Photos that cannot be
    used are named in `refused`, and the others are answered; if none can be used the request fails,
    and the problem's `photo` and `detail` name the first.
    """
    session = session_of(request)
    given = answer(
        server,
        session,
        item,
        where=joined(filtered, where),
        top=top,
        keep=keep,
        gone=is_gone(request),
    )
    if keep:
        remember(response, session)
    return Identification.linked(given.names, given.found, given.token, given.kept, given.refused)
