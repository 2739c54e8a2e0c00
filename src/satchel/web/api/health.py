"""`/healthz`: whether the process lives, whether it can answer, and what its catalogue holds."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from satchel.web.access import EVERYBODY
from satchel.web.api.openapi import curl
from satchel.web.problems import Kind, ProblemDetails, Refusal
from satchel.web.readiness import ready_checks
from satchel.web.schemas import Alive, Health, Ready
from satchel.web.state import Server

NOT_READY: Final = Kind(503, "not-ready", "The server is not ready")
RETRY_S: Final = "30"

router = APIRouter(tags=["server"], dependencies=[EVERYBODY])


@router.get("/healthz/live", openapi_extra=curl("curl '{base}/healthz/live'"))
def live() -> Alive:
    """Report that the process answers, whatever the state of its files."""
    return Alive(status="alive")


@router.get(
    "/healthz/ready",
    responses={503: {"model": ProblemDetails, "description": "`checks` says what is missing."}},
    openapi_extra=curl("curl '{base}/healthz/ready'"),
)
def ready(server: Server) -> Ready:
    """Check disk, database, its lock, encoder, locator and index: what an answer needs."""
    checks = ready_checks(server)
    failed = [f"{check.name}: {check.reason}" for check in checks if not check.ok]
    if failed:
        raise Refusal(
            NOT_READY,
            "; ".join(failed),
            extras={"checks": [check.model_dump() for check in checks]},
            headers={"Retry-After": RETRY_S},
        )
    return Ready(status="ready", checks=checks)


@router.get(
    "/healthz",
    responses={503: {"model": ProblemDetails, "description": "The database cannot be read."}},
    openapi_extra=curl("curl '{base}/healthz'"),
)
def health(server: Server) -> Health:
    """Report how many products and photos the catalogue has, and how many are searched."""
    size = server.workspace.catalogue.size()
    indexed = server.indexed()
    return Health(
        status="ok" if indexed else "no_index",
        products=size.products,
        photos=size.photos,
        indexed=indexed,
    )
