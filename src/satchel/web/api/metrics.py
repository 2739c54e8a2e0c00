"""`GET /metrics`: figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from satchel.web.access import EVERYBODY
from satchel.web.addresses import Networks, client_of
from satchel.web.metrics import CONTENT_TYPE
from satchel.web.state import Server

router = APIRouter(include_in_schema=False, dependencies=[EVERYBODY])


@router.get("/metrics")
def metrics(request: Request, server: Server) -> Response:
    """Give figures to the addresses that the settings list; for all others there is no such page.

    Raises:
        HTTPException: 404, the address is not listed.
    """
    if client_of(request.scope) not in Networks(server.workspace.settings.serve.metrics):
        raise HTTPException(404)
    return Response(server.metrics.text(), media_type=CONTENT_TYPE)
