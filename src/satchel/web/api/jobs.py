"""`/api/v1/jobs`: the work of `satchel worker`, listed, retried and cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from satchel.job_schemas import JobRecord
from satchel.jobs.records import JobState
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.state import Server

ADMINS: Final = allow(Role.ADMIN, scope=Scope.ADMIN)
MAX_JOBS: Final = 200
MAX_NUMBER: Final = 2**63 - 1

Number = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="The job's number.")]

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])


class JobPage(BaseModel):
    """Some jobs."""

    counts: dict[JobState, int] = Field(description="How many jobs there are in each state.")
    jobs: list[JobRecord] = Field(description="The last added first.")


@router.get(
    "",
    dependencies=[ADMINS],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/jobs?state=failed'"),
)
def jobs(
    server: Server,
    state: Annotated[
        Sequence[JobState],
        Query(max_length=len(JobState), description="Only in these; default, all."),
    ] = (),
    kind: Annotated[str | None, Query(max_length=64, description="Only of this kind.")] = None,
    before: Annotated[
        int | None, Query(ge=0, le=MAX_NUMBER, description="Jobs with a smaller number.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_JOBS, description="Jobs given.")] = 50,
) -> JobPage:
    """List what runs, waits, was done and failed."""
    queue = server.workspace.jobs
    found = queue.jobs(state or tuple(JobState), kind=kind, before=before, limit=limit)
    return JobPage(counts=queue.counts(), jobs=[JobRecord.of(job) for job in found])


@router.get(
    "/{job}",
    dependencies=[ADMINS],
    responses=problems(404, 422),
    openapi_extra=curl("curl '{base}/api/v1/jobs/12'"),
)
def job(server: Server, job: Number) -> JobRecord:
    """Give one job."""
    return JobRecord.of(server.workspace.jobs.job(job))


@router.post(
    "/{job}/retry",
    dependencies=[ADMINS],
    responses=problems(404, 409, 422),
    openapi_extra=curl("curl -X POST '{base}/api/v1/jobs/12/retry'"),
)
def retry_job(server: Server, job: Number) -> JobRecord:
    """Let a job run now: one that waits, failed or was cancelled."""
    return JobRecord.of(server.workspace.jobs.retry(job))


@router.post(
    "/{job}/cancel",
    dependencies=[ADMINS],
    responses=problems(404, 409, 422),
    openapi_extra=curl("curl -X POST '{base}/api/v1/jobs/12/cancel'"),
)
def cancel_job(server: Server, job: Number) -> JobRecord:
    """Cancel a job that waits or runs; one that runs is asked to stop."""
    return JobRecord.of(server.workspace.jobs.cancel(job))
