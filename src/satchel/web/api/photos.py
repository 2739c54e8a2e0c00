"""Photos of the catalogue, whole and small. Named by their content, they never change."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.responses import FileResponse

from satchel.errors import CatalogueError
from satchel.web.access import EVERYBODY
from satchel.web.api.openapi import problems
from satchel.web.state import Server, ServerState
from satchel.web.threads import patient


class Side(IntEnum):
    """Longer sides that thumbnails come in, in pixels: few, so that caches are of use."""

    SMALL = 160
    MEDIUM = 320
    LARGE = 640


Sha256 = Annotated[str, Path(description="The photo's SHA-256, 64 hexadecimal digits.")]
IfNoneMatch = Annotated[str, Header(include_in_schema=False)]

router = APIRouter(tags=["photos"], dependencies=[EVERYBODY])
JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": {}}, "description": "The JPEG."}
}


@router.get(
    "/photos/{sha}.jpg", response_class=FileResponse, responses={**JPEG, **problems(404, 422)}
)
def photo(server: Server, sha: Sha256, if_none_match: IfNoneMatch = "") -> Response:
    """Give a photo of the catalogue, whole."""
    _require(server, sha)
    headers = _headers(sha)
    if headers["ETag"] in if_none_match:
        return Response(status_code=304, headers=headers)
    path = server.workspace.photos.path(sha)
    if not path.is_file():
        server.workspace.photos.read(sha)  # raises an error that says what to do
    return FileResponse(path, media_type="image/jpeg", headers=headers)


@router.get(
    "/thumbnails/{sha}.jpg", response_class=Response, responses={**JPEG, **problems(404, 422)}
)
@patient
def small_photo(
    server: Server,
    sha: Sha256,
    side: Annotated[Side, Query(description="Longer side in pixels, at most.")] = Side.MEDIUM,
    if_none_match: IfNoneMatch = "",
) -> Response:
    """Give a small copy of a photo of the catalogue."""
    _require(server, sha)
    headers = _headers(f"{sha}-{side.value}")
    if headers["ETag"] in if_none_match:
        return Response(status_code=304, headers=headers)
    data = server.thumbnail(server.workspace.photos.read(sha), side.value)
    return Response(data, media_type="image/jpeg", headers=headers)


def _require(server: ServerState, sha: str) -> None:
    """Refuse what is not in the catalogue, even where the store has a file of it."""
    if not server.workspace.catalogue.has_photo(sha):
        raise CatalogueError(
            f"the catalogue has no photo {sha[:80]!r}; its pages link to those it has"
        )


def _headers(tag: str) -> dict[str, str]:
    return {"Cache-Control": "private, max-age=31536000, immutable", "ETag": f'"{tag}"'}
