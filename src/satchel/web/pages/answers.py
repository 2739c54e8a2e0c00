"""`/answers/TOKEN`: an answer again, after a reload; and the photos that it is about."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.web.access import EVERYBODY
from satchel.web.api.photos import Side
from satchel.web.feedback import CASE_PHOTO_PX
from satchel.web.identification import Answer
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.pages.home import answer_values, home_values
from satchel.web.pages.rendering import pages_of
from satchel.web.sessions import session_of
from satchel.web.state import Server
from satchel.web.threads import patient

Token = Annotated[str, Path(max_length=MAX_TOKEN_CHARS)]

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[EVERYBODY]
)


@router.get("/answers/{token}")
def answer_again(request: Request, server: Server, token: Token) -> Response:
    """Show an answer as long as it is kept, with its photos if this browser sent them."""
    kept = server.answers.get("", token)
    photos = kept.photos_for(session_of(request), server.uploads)
    given = Answer(kept.found, kept.names, (), token, kept.photos if photos else ())
    where = [f"{name}={value}" for name, values in kept.found.where.items() for value in values]
    values: dict[str, Any] = home_values(server, where) | answer_values(server, given)
    return pages_of(request).render(request, "index.html", **values)


@router.get("/uploads/{token}.jpg")
@patient
def uploaded_photo(
    request: Request, server: Server, token: Token, side: Side | None = None
) -> Response:
    """Give a photo that this browser sent, decoded and encoded anew, so as JPEG."""
    photo = server.uploads.get(session_of(request), token)
    headers = {"Cache-Control": "private, max-age=3600"}
    data = server.thumbnail(photo.data, side.value if side else CASE_PHOTO_PX)
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/identify")
def identify_again() -> Response:
    """Lead a reader who reloads a failed request back to the start."""
    return RedirectResponse("/", 303)
