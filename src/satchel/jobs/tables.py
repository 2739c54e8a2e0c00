"""The table of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from satchel.catalog.tables import Base, now

UNFINISHED = text("state IN ('waiting', 'running')")


class JobRow(Base):
    """One job; `state` is a `satchel.jobs.records.JobState`.

    `due_at` is when a worker may take it: of a waiting job, when it is to run; of a running one,
    the end of its lease. `attempts` counts how often it was taken, and with `worker` tells one
    lease from the next. Of the jobs with one `unique_key`, at most one waits and at most one runs.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_due_at", "due_at", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED),
        Index(
            "ix_jobs_unique_key_state",
            "unique_key",
            "state",
            unique=True,
            sqlite_where=UNFINISHED,
            postgresql_where=UNFINISHED,
        ),
        Index("ix_jobs_state_finished_at", "state", "finished_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    unique_key: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    worker: Mapped[str | None] = mapped_column(String(100))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
