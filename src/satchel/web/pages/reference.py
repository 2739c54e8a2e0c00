"""`/docs`: the reference of the HTTP API."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.web.access import EVERYBODY
from satchel.web.api.reference import operations, schemas
from satchel.web.pages.rendering import pages_of

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[EVERYBODY]
)


@router.get("/docs")
def reference(request: Request) -> Response:
    """Show the API's reference, made from its OpenAPI description."""
    schema = request.app.openapi()
    base = str(request.base_url).rstrip("/")
    return pages_of(request).render(
        request, "docs.html", operations=operations(schema, base), schemas=schemas(schema)
    )
