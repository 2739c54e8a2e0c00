"""`/products`: the catalogue, and the page of each product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.store import Catalogue
from satchel.lookalikes.differences import differences
from satchel.lookalikes.visible import split_visible
from satchel.web.access import EVERYBODY
from satchel.web.api.products import MAX_OFFSET
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.state import Server

PAGE_PRODUCTS: Final = 48

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[EVERYBODY]
)


@router.get("/products")
def products(
    request: Request,
    server: Server,
    query: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    """Show the catalogue, or the part of it that matches."""
    page = server.workspace.catalogue.products(query, offset=offset, limit=PAGE_PRODUCTS)
    after = offset + len(page.products)
    template = "products.html"
    if is_fragment(request):
        template = "_more_products.html" if offset else "_products.html"
    return pages_of(request).render(
        request,
        template,
        page=page,
        query=query,
        offset=offset,
        more="/products?" + urlencode({"query": query, "offset": after})
        if after < page.total and page.products
        else None,
    )


@router.get("/products/{code:path}")
def product(request: Request, server: Server, code: str) -> Response:
    """Show one product with all its photos."""
    if not code:
        return RedirectResponse("/products", 303)
    catalogue = server.workspace.catalogue
    visible = server.workspace.settings.catalogue.visible
    found = catalogue.product(code)
    seen, unseen = split_visible(found.attributes, visible)
    return pages_of(request).render(
        request,
        "_product.html" if is_fragment(request) else "product.html",
        product=found,
        seen=seen,
        unseen=unseen,
        photos=catalogue.photos_of(code),
        **_look_alikes(catalogue, code, visible),
    )


def _look_alikes(catalogue: Catalogue, code: str, visible: Sequence[str]) -> dict[str, Any]:
    """The confirmed group of a product: all its members, and in what they differ."""
    group = catalogue.look_alikes.confirmed_of(code)
    members = catalogue.products_by_id(group) if group else []
    return {
        "alike": [member.code for member in members],
        "differences": differences(members, visible) if members else (),
    }
