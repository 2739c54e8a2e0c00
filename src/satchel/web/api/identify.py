"""`POST /api/v1/identify`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile

from satchel.identify import MAX_ITEM_PHOTOS
from satchel.photo_formats import readable_formats
from satchel.web.api.filters import Pairs, QueryFilter, joined
from satchel.web.api.openapi import curl, problems
from satchel.web.schemas import Identification
from satchel.web.state import Server
from satchel.web.uploads import received

router = APIRouter()


def _describe_photos(schema: dict[str, Any]) -> None:
    """Complete the OpenAPI description of `Photos`: which formats there are depends on extras."""
    *formats, last = readable_formats()
    schema.update(
        description=f"1 to {MAX_ITEM_PHOTOS} photos, all of one item: "
        f"{', '.join(formats)} or {last}.",
        minItems=1,
        maxItems=MAX_ITEM_PHOTOS,
    )


Photos = Annotated[
    list[UploadFile],
    File(json_schema_extra=_describe_photos),
]


@router.post(
    "/api/v1/identify",
    tags=["identification"],
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra=curl(
        "curl -F photos=@front.jpg -F photos=@inside.jpg "
        "'{base}/api/v1/identify?top=5&brand=Maison'"
    ),
)
def identify(
    server: Server,
    photos: Photos,
    filtered: QueryFilter,
    where: Annotated[Pairs, Form(description="The same as a field of the form.")] = (),
    top: Annotated[
        int | None,
        Query(ge=1, le=50, description="Candidates given, at most; default from satchel.toml."),
    ] = None,
) -> Identification:
    """Identify one item from photos of it.

    All photos show the same item. Under a filter only products that pass it take part: several
    values of one attribute are alternatives, of different ones all must fit. If one of the photos
    cannot be used the whole request fails, and the problem's `photo` and `detail` name the one.
    """
    items = received(photos)
    found = server.identify(items, top=top, where=joined(filtered, where))
    return Identification.linked([item.name for item in items], found)
