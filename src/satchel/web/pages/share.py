"""`/share`: photos that a phone's own gallery or camera shares with the installed app.

The system sends them, no page of ours: without a form's token, and by what browser and system make
of it without cookies. So receiving acts for nobody: it keeps the photos for some minutes under a
secret, and leads to a page where a person says what to do with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, File, Form, Path, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import UsageError
from satchel.identify import MAX_ITEM_PHOTOS
from satchel.web.access import EVERYBODY, allow
from satchel.web.api.photos import Side
from satchel.web.identification import Asked, answer
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.links import answer_link
from satchel.web.middleware.body_limit import UPLOAD_TOO_LARGE
from satchel.web.middleware.departures import is_gone
from satchel.web.pages.rendering import pages_of
from satchel.web.problems import Refusal
from satchel.web.sessions import remember, session_of
from satchel.web.state import Server
from satchel.web.threads import patient
from satchel.web.uploads import KeptPhoto, received

SHARE: Final = "/share"
"""Where the system sends photos to; the one address that takes a form of no page of ours."""

Token = Annotated[str, Path(max_length=MAX_TOKEN_CHARS)]
FormToken = Annotated[str, Form(max_length=MAX_TOKEN_CHARS)]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/manifest.webmanifest", dependencies=[EVERYBODY])
def manifest(request: Request, server: Server) -> Response:
    """Describe the app to what installs it (W3C Web Application Manifest)."""
    page = pages_of(request).render(
        request, "manifest.html", takes_photos=bool(server.shares.max_bytes), share=SHARE
    )
    page.headers["Content-Type"] = "application/manifest+json"
    return page


@router.post(SHARE, dependencies=[allow(None, from_outside=True)])
@patient
def receive(server: Server, photos: Annotated[Sequence[UploadFile], File()] = ()) -> Response:
    """Keep shared photos for some minutes, and lead to the page that shows them."""
    given = received(photos)
    if not given:
        raise UsageError(f"expected 1 to {MAX_ITEM_PHOTOS} photos in the field photos, got none")
    kept = tuple(KeptPhoto(one.name, one.read()) for one in given[:MAX_ITEM_PHOTOS])
    size = sum(len(photo.data) for photo in kept)
    token = server.shares.put("", kept, size)
    if token is None:
        raise Refusal(
            UPLOAD_TOO_LARGE,
            f"expected at most {server.shares.max_bytes:,} bytes of shared photos together, got "
            f"{size:,}; share fewer of them",
        )
    more = f"?left={len(given) - len(kept)}" if len(given) > len(kept) else ""
    return RedirectResponse(f"{SHARE}/{token}{more}", 303)


@router.get(SHARE + "/{token}", dependencies=[EVERYBODY])
def shared(request: Request, server: Server, token: Token, left: int = 0) -> Response:
    """Show shared photos, and what can be done with them.

    Args:
        left: how many more were shared than are kept.
    """
    photos = server.shares.get("", token)
    return pages_of(request).render(
        request, "share.html", token=token, photos=photos, left=left, indexed=server.indexed()
    )


@router.get(SHARE + "/{token}/{place}.jpg", dependencies=[EVERYBODY])
@patient
def shared_photo(server: Server, token: Token, place: int) -> Response:
    """Give a small copy of a shared photo; places count from 0."""
    photos = server.shares.get("", token)
    if not 0 <= place < len(photos):
        raise UsageError(f"expected a photo from 0 to {len(photos) - 1}, got {place}")
    data = server.thumbnail(photos[place].data, Side.MEDIUM)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.post(SHARE + "/identify", dependencies=[EVERYBODY])
@patient
def identify_shared(request: Request, server: Server, token: FormToken = "") -> Response:
    """Identify the item that shared photos show, as if they were chosen on the start page."""
    session = session_of(request)
    photos = server.shares.get("", token)
    kept = [server.uploads.put(session, photo, len(photo.data)) for photo in photos]
    tokens = [one for one in kept if one is not None]
    item = Asked((), tokens, None)
    given = answer(server, session, item, where={}, keep=True, gone=is_gone(request))
    response = RedirectResponse(answer_link(given.token) if given.token else "/", 303)
    remember(response, session)
    return response
