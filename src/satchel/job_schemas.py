"""Jobs → JSON, for the command line and the HTTP API alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from satchel.jobs.records import Job, JobState


class JobRecord(BaseModel):
    """Work that `satchel worker` does."""

    job: int = Field(description="Its number.", examples=[12])
    kind: str = Field(description="What is done.", examples=["webhook"])
    arguments: dict[str, Any] = Field(description="What it is about.")
    state: JobState
    attempts: int = Field(description="How often it was begun.")
    max_attempts: int = Field(description="How often it is begun at most; then it has failed.")
    due_at: datetime = Field(
        description="UTC. Of a waiting job, when it is to run; of a running one, when another "
        "worker takes it unless this one is heard of."
    )
    created_at: datetime = Field(description="UTC.")
    started_at: datetime | None = Field(description="Of the last attempt, in UTC.")
    finished_at: datetime | None = Field(description="UTC; null while it waits or runs.")
    error: str | None = Field(description="Of the last attempt that failed.")
    result: dict[str, Any] | None = Field(description="What a finished job reports.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """Convert a job."""
        return cls(
            job=job.id,
            kind=job.kind,
            arguments=dict(job.arguments),
            state=job.state,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            due_at=_utc(job.due_at),
            created_at=_utc(job.created_at),
            started_at=job.started_at and _utc(job.started_at),
            finished_at=job.finished_at and _utc(job.finished_at),
            error=job.error,
            result=None if job.result is None else dict(job.result),
        )


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC, microsecond=0)
