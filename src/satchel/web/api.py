"""The HTTP API, under /api/v1. Each endpoint translates and does nothing else."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Path, Query, UploadFile
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from satchel.identify import MAX_ITEM_PHOTOS
from satchel.web.problems import ProblemDetails
from satchel.web.schemas import (
    Health,
    Identification,
    ProductDetail,
    ProductPage,
)
from satchel.web.serving import Served
from satchel.web.uploads import received

MAX_PRODUCTS: Final = 100
MAX_OFFSET: Final = 1_000_000_000

DESCRIPTIONS: Final = {
    400: "No photos, or more than one item may have.",
    404: "The catalogue does not have it.",
    413: "A photo, or all of them together, are too large.",
    415: "A file is not a photo of a known format.",
    422: "A photo is empty or damaged, or a parameter does not fit.",
    503: "There is no index yet, or too many are waiting; see Retry-After.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe which problems an endpoint answers."""
    return {
        status: {"model": ProblemDetails, "description": DESCRIPTIONS[status]}
        for status in statuses
    }


def curl(command: str) -> dict[str, Any]:
    """An example for the reference, as the OpenAPI extension that documentation tools know."""
    return {"x-codeSamples": [{"lang": "Shell", "label": "curl", "source": command}]}


Photos = Annotated[
    list[UploadFile],
    File(
        description=f"1 to {MAX_ITEM_PHOTOS} photos, all of one item: JPEG, PNG, WebP or AVIF.",
        json_schema_extra={"maxItems": MAX_ITEM_PHOTOS, "minItems": 1},
    ),
]

router = APIRouter()


@router.post(
    "/api/v1/identify",
    tags=["identification"],
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra=curl(
        "curl -F photos=@front.jpg -F photos=@inside.jpg '{base}/api/v1/identify?top=5'"
    ),
)
def identify(
    serving: Served,
    photos: Photos,
    top: Annotated[
        int | None,
        Query(ge=1, le=50, description="Candidates given, at most; default from satchel.toml."),
    ] = None,
) -> Identification:
    """Identify one item from photos of it.

    All photos show the same item. If one of them cannot be used the whole request fails, and the
    problem's `photo` and `detail` name the one.
    """
    items = received(photos)
    return Identification.of([item.name for item in items], serving.identify(items, top=top))


@router.get(
    "/api/v1/products",
    tags=["catalogue"],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/products?query=backpack&limit=10'"),
)
def products(
    serving: Served,
    query: Annotated[
        str,
        Query(max_length=200, description="Words that code, brand, name, category or colour hold."),
    ] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Products to skip.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PRODUCTS, description="Products given.")] = 48,
) -> ProductPage:
    """Search the catalogue; without words, list it. Ordered by code."""
    page = serving.workspace.catalogue.products(query, offset=offset, limit=limit)
    return ProductPage.of(page, offset, limit)


@router.get(
    "/api/v1/products/{code:path}",
    tags=["catalogue"],
    responses=problems(404, 422),
    openapi_extra=curl("curl '{base}/api/v1/products/M22675'"),
)
def product(
    serving: Served,
    code: Annotated[str, Path(description="The product's code; may hold slashes and spaces.")],
) -> ProductDetail:
    """Give one product with all its photos."""
    catalogue = serving.workspace.catalogue
    return ProductDetail.of(catalogue.product(code), catalogue.photos_of(code))


@router.get(
    "/healthz",
    tags=["server"],
    responses={503: {"model": ProblemDetails, "description": "The database cannot be read."}},
    openapi_extra=curl("curl '{base}/healthz'"),
)
def health(serving: Served) -> Health:
    """Say whether the server can answer, and how much it knows."""
    try:
        size = serving.workspace.catalogue.size()
        indexed = serving.indexed()
    except SQLAlchemyError:
        raise HTTPException(
            503,
            "the catalogue's database cannot be read; see the server's log",
            {"Retry-After": "60"},
        ) from None
    return Health(
        status="ok" if indexed else "no_index",
        products=size.products,
        photos=size.photos,
        indexed=indexed,
    )
