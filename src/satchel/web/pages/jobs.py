"""`/jobs`: what runs, waits, was done and failed, with a way to try again."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.jobs.records import JobState
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.pages.review import MOST_ID
from satchel.web.state import Server

PATH: Final = "/jobs"
PAGE_JOBS: Final = 50
ADMINS: Final = allow(Role.ADMIN)

Shown = Literal["", "waiting", "running", "done", "failed", "cancelled"]
Number = Annotated[int, Form(ge=0, le=MOST_ID)]

router = APIRouter(prefix=PATH, include_in_schema=False, default_response_class=HTMLResponse)


@router.get("", dependencies=[ADMINS])
def show_jobs(
    request: Request,
    server: Server,
    state: Shown = "",
    before: Annotated[int | None, Query(ge=0, le=MOST_ID)] = None,
) -> Response:
    """Show the last jobs; a page that is open asks for them again every few seconds."""
    queue = server.workspace.jobs
    states = [JobState(state)] if state else list(JobState)
    found = queue.jobs(states, before=before, limit=PAGE_JOBS + 1)
    shown, more = found[:PAGE_JOBS], None
    if len(found) > PAGE_JOBS:
        more = f"{PATH}?{urlencode({'state': state, 'before': shown[-1].id})}"
    values: dict[str, Any] = {
        "jobs": shown,
        "counts": queue.counts(),
        "state": state,
        "before": before,
        "more": more,
        "here": f"{PATH}?{urlencode({'state': state})}",
    }
    template = "_jobs.html" if is_fragment(request) else "jobs.html"
    return pages_of(request).render(request, template, **values)


@router.post("/retry", dependencies=[ADMINS])
def retry(server: Server, job: Number, state: Annotated[Shown, Form()] = "") -> Response:
    """Let a job run now."""
    server.workspace.jobs.retry(job)
    return _back(state)


@router.post("/cancel", dependencies=[ADMINS])
def cancel(server: Server, job: Number, state: Annotated[Shown, Form()] = "") -> Response:
    """Cancel a job."""
    server.workspace.jobs.cancel(job)
    return _back(state)


def _back(state: str) -> Response:
    return RedirectResponse(f"{PATH}?{urlencode({'state': state})}", 303)
