"""The HTTP API, under /api/v1. Each endpoint translates and does nothing else."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Path, Query, UploadFile
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import GroupState
from satchel.catalog.lookalike_groups import LookAlikeGroup as GroupOfProducts
from satchel.catalog.store import Catalogue
from satchel.errors import WorkspaceError
from satchel.identify import MAX_ITEM_PHOTOS
from satchel.photo_formats import readable_formats
from satchel.web.problems import ProblemDetails
from satchel.web.schemas import (
    Health,
    Identification,
    LookAlikeDecision,
    LookAlikeGroup,
    LookAlikePage,
    ProductDetail,
    ProductPage,
)
from satchel.web.serving import Served
from satchel.web.uploads import received

MAX_PRODUCTS: Final = 100
MAX_OFFSET: Final = 1_000_000_000
MOST_NUMBER: Final = 2**63 - 1

DESCRIPTIONS: Final = {
    400: "No photos, or more than one item may have; or codes that make no group.",
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
    "/api/v1/look-alikes",
    tags=["catalogue"],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/look-alikes?state=proposed'"),
)
def look_alikes(
    serving: Served,
    state: Annotated[
        GroupState, Query(description="What has become of the groups.")
    ] = GroupState.CONFIRMED,
    after: Annotated[
        int, Query(ge=0, le=MOST_NUMBER, description="Groups beyond this number.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PRODUCTS, description="Groups given.")] = 48,
) -> LookAlikePage:
    """List groups of products that photos cannot tell apart.

    `satchel lookalikes` proposes them; a confirmed group counts as one candidate.
    """
    catalogue = serving.workspace.catalogue
    store = catalogue.look_alikes
    groups = store.in_state(state, after=after, limit=limit)
    return LookAlikePage(
        total=store.count(state), groups=[_group(catalogue, group) for group in groups]
    )


@router.post(
    "/api/v1/look-alikes/{group}",
    tags=["catalogue"],
    responses=problems(400, 404, 422),
    openapi_extra=curl(
        "curl -H 'Content-Type: application/json' -d '{\"choice\": \"confirm\"}' "
        "'{base}/api/v1/look-alikes/12'"
    ),
)
def decide_look_alikes(
    serving: Served,
    group: Annotated[int, Path(ge=0, le=MOST_NUMBER, description="The group's number.")],
    decision: LookAlikeDecision,
) -> LookAlikeGroup:
    """Confirm a group, or a part of it, reject it, or undo that.

    A part that is confirmed becomes a group of its own, which is given.
    """
    catalogue = serving.workspace.catalogue
    store = catalogue.look_alikes
    if decision.choice == "undo":
        decided = store.undo(store.decision_on(group), by=decision.by)
    else:
        confirm = decision.choice == "confirm"
        choice = Choice.CONFIRM_GROUP if confirm else Choice.REJECT_GROUP
        decided = store.decide(choice, group, decision.codes, by=decision.by)
    assert decided.group is not None
    return _group(catalogue, store.group(decided.group))


def _group(catalogue: Catalogue, group: GroupOfProducts) -> LookAlikeGroup:
    return LookAlikeGroup.of(group, catalogue.products_by_id(group.products))


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
    except (SQLAlchemyError, WorkspaceError) as error:
        logging.getLogger(__name__).warning("%s", error)
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
