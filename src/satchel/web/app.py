"""Application factory: builds the web application of a workspace."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from satchel import __version__
from satchel.errors import SatchelError
from satchel.web import api, pages
from satchel.web.access import leads_to_log_in
from satchel.web.addresses import Networks
from satchel.web.api.reference import with_problem_types
from satchel.web.feedback import remove_old_cases
from satchel.web.middleware.body_limit import (
    MAX_FORM_FIELDS,
    MAX_FORM_FILES,
    SMALL_BYTES,
    BodyLimit,
)
from satchel.web.middleware.departures import NoticedDepartures
from satchel.web.middleware.head import HeadAsGet
from satchel.web.middleware.headers import SecurityHeaders, secure
from satchel.web.middleware.hosts import KnownHosts
from satchel.web.middleware.origins import OwnOrigin
from satchel.web.middleware.rates import LimitedRate
from satchel.web.middleware.stopping import RefusedWhileStopping
from satchel.web.pages.rendering import STATIC, Pages, VersionedFiles, wants_page
from satchel.web.pages.share import SHARE
from satchel.web.problems import Problem, problem_json, problem_of
from satchel.web.refusals import log_refusal
from satchel.web.routing import Subject
from satchel.web.state import ServerState
from satchel.web.threads import limit_threads
from satchel.web.visitors import visitor_of
from satchel.workspace import Workspace

if TYPE_CHECKING:
    from satchel.market.accounts.mail import Mailer

DESCRIPTION: Final = (
    "Names the exact model of a second-hand luxury good from photos. Errors are problems as in "
    "RFC 9457, `application/problem+json`."
)
HOUR_S: Final = 3_600
UPLOADS: Final = (
    "/identify",
    "/api/v1/identify",
    "/goods/similar",
    "/api/v1/goods/similar",
    SHARE,
)
"""Paths that take photos."""
URL_LISTS: Final = ("/collections/paste", "/api/v1/collections/urls")
"""Paths that take the addresses of many photos; all but these and `UPLOADS` take a small body."""


def create_app(
    workspace: Workspace, *, names: Iterable[str] = (), mailer: Mailer | None = None
) -> FastAPI:
    """Make the web application of a workspace, whether or not it has an index yet.

    Args:
        names: under which the server is reached, besides those in its settings.
        mailer: sends e-mails; default, as the settings say.

    Raises:
        EncoderError: the model file is missing or altered.
    """
    app = FastAPI(
        title="Satchel",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        form_limits={
            "max_files": MAX_FORM_FILES,
            "max_fields": MAX_FORM_FIELDS,
            "max_part_size": SMALL_BYTES,
        },
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
    )
    app.state.server = ServerState(workspace)
    app.state.pages = Pages(workspace.settings.serve)
    app.state.market = None
    app.state.answer_error = _answer_error
    for module in (*api.RESOURCES, *pages.PAGES):
        app.include_router(Subject(module.router))
    if workspace.settings.market.enabled:
        _add_market(app, workspace, mailer)
    app.mount("/static", VersionedFiles(directory=STATIC), name="static")
    _add_middleware(app, workspace, names)
    for kind in (SatchelError, OSError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer_error)
    app.openapi = partial(_openapi, app, app.openapi)  # type: ignore[method-assign] # FastAPI's own way
    return app


def _add_market(app: FastAPI, workspace: Workspace, mailer: Mailer | None) -> None:
    """Add the resale service, whose packages are not imported without it."""
    from satchel.web import market  # noqa: PLC0415
    from satchel.web.market.state import MarketState  # noqa: PLC0415

    app.state.market = MarketState(workspace, decoder=app.state.server.decoder, mailer=mailer)
    for router in market.routers():
        app.include_router(Subject(router))


def _add_middleware(app: FastAPI, workspace: Workspace, names: Iterable[str]) -> None:
    """Add what every request passes through; the last one is the outermost."""
    settings = workspace.settings.serve
    app.add_middleware(HeadAsGet)
    app.add_middleware(NoticedDepartures, paths=UPLOADS)
    app.add_middleware(
        BodyLimit,
        photos=workspace.settings.photos.limits(),
        uploads=UPLOADS,
        lists=URL_LISTS,
    )
    if settings.identifications_per_minute:
        app.add_middleware(
            LimitedRate,
            per_minute=settings.identifications_per_minute,
            paths=(*UPLOADS, "/example", f"{SHARE}/identify"),
            unlimited=Networks(settings.proxies),
        )
    app.add_middleware(RefusedWhileStopping)
    app.add_middleware(OwnOrigin, outside=(SHARE,))
    app.add_middleware(KnownHosts, names=(*settings.hosts, *names))
    app.add_middleware(SecurityHeaders)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    limit_threads()
    await run_in_threadpool(app.state.server.decoder.start)  # the first photo does not wait
    removing = asyncio.create_task(_remove_old_cases(app.state.server))
    yield
    removing.cancel()
    await run_in_threadpool(app.state.server.reindexing.finish)
    await run_in_threadpool(app.state.server.decoder.close)
    if app.state.market is not None:
        await run_in_threadpool(app.state.market.postbox.close)


async def _remove_old_cases(server: ServerState) -> None:
    """Delete cases whose time is over, now and every hour, for as long as the server runs."""
    while True:
        try:
            await run_in_threadpool(remove_old_cases, server)
        except (SatchelError, SQLAlchemyError) as error:
            logging.getLogger(__name__).warning("old cases are not removed yet: %s", error)
        await asyncio.sleep(HOUR_S)


async def _answer_error(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.kind.status >= 500 and isinstance(error, SatchelError | OSError):
        logging.getLogger(__name__).warning("%s: %s", problem.kind.slug, error)
    log_refusal(request, problem.kind.status, problem.kind.slug)
    if wants_page(request):
        response = await _problem_page(request, problem)
    else:
        response = problem_json(request, problem)
    # An unexpected error is answered outside of every middleware, so the headers come from here.
    secure(response.headers, request.scope)
    return response


async def _problem_page(request: Request, problem: Problem) -> Response:
    with contextlib.suppress(SatchelError, SQLAlchemyError, HTTPException):
        await visitor_of(request)  # so that the page shows who is logged in
    lead = leads_to_log_in(request, problem.kind)
    if lead is not None:
        return lead
    show: Callable[..., Response] = request.app.state.pages.problem  # asks the database
    return await run_in_threadpool(show, request, problem)


def _openapi(app: FastAPI, describe: Any) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = with_problem_types(describe(), refused=app.state.market is not None)
    return app.openapi_schema
