"""`GET /api/v1/facets`: the values that products can be filtered by."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from satchel.catalog.filters import parse_where
from satchel.schemas import Facet
from satchel.web.access import EVERYBODY
from satchel.web.api.filters import QueryFilter
from satchel.web.api.openapi import curl, problems
from satchel.web.schemas import Facets
from satchel.web.state import Server

MAX_VALUES: Final = 1_000

router = APIRouter(dependencies=[EVERYBODY])


@router.get(
    "/api/v1/facets",
    tags=["catalogue"],
    responses=problems(400, 422),
    openapi_extra=curl("curl '{base}/api/v1/facets?brand=Maison'"),
)
def facets(
    server: Server,
    filtered: QueryFilter,
    limit: Annotated[
        int, Query(ge=1, le=MAX_VALUES, description="Values given of each attribute.")
    ] = 100,
) -> Facets:
    """Count the products of each brand, category, colour, size and further attribute.

    Under a filter, the values of an attribute count the products that pass the filter's other
    attributes.
    """
    known = server.workspace.catalogue.facets.read()
    where = parse_where(filtered)
    selection = known.select(where) if where else None
    return Facets(
        products=len(selection.products)
        if selection
        else server.workspace.catalogue.size().products,
        facets=[Facet.of(facet, limit) for facet in known.counts(selection)],
    )
