"""`GET /healthz`: whether the server can answer."""

from __future__ import annotations

import logging

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from satchel.errors import WorkspaceError
from satchel.web.api.openapi import curl
from satchel.web.problems import ProblemDetails
from satchel.web.schemas import Health
from satchel.web.state import Server

router = APIRouter()


@router.get(
    "/healthz",
    tags=["server"],
    responses={503: {"model": ProblemDetails, "description": "The database cannot be read."}},
    openapi_extra=curl("curl '{base}/healthz'"),
)
def health(server: Server) -> Health:
    """Report whether the server is ready, and how many products and photos it has."""
    try:
        size = server.workspace.catalogue.size()
        indexed = server.indexed()
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
