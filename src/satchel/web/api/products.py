"""`GET /api/v1/products`: search the catalogue, or read one product."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from satchel.web.access import EVERYBODY
from satchel.web.api.openapi import curl, problems
from satchel.web.schemas import ProductDetail, ProductPage
from satchel.web.state import Server

MAX_PRODUCTS: Final = 100
MAX_OFFSET: Final = 1_000_000_000

router = APIRouter(dependencies=[EVERYBODY])


@router.get(
    "/api/v1/products",
    tags=["catalogue"],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/products?query=backpack&limit=10'"),
)
def products(
    server: Server,
    query: Annotated[
        str,
        Query(
            max_length=200,
            description="Words that code or columns hold; only letters and digits count.",
        ),
    ] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Products to skip.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PRODUCTS, description="Products given.")] = 48,
) -> ProductPage:
    """Search the catalogue; without words, list it. Ordered by code."""
    page = server.workspace.catalogue.products(query, offset=offset, limit=limit)
    return ProductPage.of(page, offset, limit)


@router.get(
    "/api/v1/products/{code:path}",
    tags=["catalogue"],
    responses=problems(404, 422),
    openapi_extra=curl("curl '{base}/api/v1/products/M22675'"),
)
def product(
    server: Server,
    code: Annotated[str, Path(description="The product's code; may hold slashes and spaces.")],
) -> ProductDetail:
    """Give one product with all its photos."""
    catalogue = server.workspace.catalogue
    return ProductDetail.of(catalogue.product(code), catalogue.photos_of(code))
