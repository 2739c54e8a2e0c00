"""Adding, listing, retrying and cancelling jobs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, delete, func, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import now
from satchel.errors import JobConflict, UnknownJob
from satchel.jobs.records import Arguments, Job, JobState
from satchel.jobs.tables import JobRow

MAX_ATTEMPTS: Final = 8
"""Attempts of a job that does not say: with the usual back-off they take about five hours."""

FINISHED: Final = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
OPEN: Final = (JobState.WAITING, JobState.RUNNING)


def enqueue(
    connection: Connection,
    kind: str,
    arguments: Arguments,
    *,
    unique_key: str | None = None,
    delay: timedelta = timedelta(0),
    max_attempts: int = MAX_ATTEMPTS,
) -> int:
    """Add a job in the caller's transaction, and return its id.

    Args:
        connection: with a transaction that writes: the job is there if what it is about is.
        arguments: a JSON object, for the handler.
        unique_key: where a job with this key waits already, there is no second one.
        delay: until it may run.
        max_attempts: at most; then it has failed.
    """
    if unique_key is not None:
        same = JobRow.unique_key == unique_key, JobRow.state == JobState.WAITING
        waiting = connection.scalar(select(JobRow.id).where(*same))
        if waiting is not None:
            return waiting
    row = insert(JobRow).values(
        kind=kind,
        arguments=dict(arguments),
        unique_key=unique_key,
        state=JobState.WAITING,
        due_at=now() + delay,
        max_attempts=max_attempts,
    )
    return inserted_id(connection, row)


class JobQueue:
    """The table of jobs, for those who add jobs and see to them. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        kind: str,
        arguments: Arguments,
        *,
        unique_key: str | None = None,
        delay: timedelta = timedelta(0),
        max_attempts: int = MAX_ATTEMPTS,
    ) -> int:
        """Add a job in a transaction of its own; see `enqueue`."""
        with writing(self._engine) as connection:
            added = enqueue(
                connection,
                kind,
                arguments,
                unique_key=unique_key,
                delay=delay,
                max_attempts=max_attempts,
            )
            connection.commit()
        return added

    def job(self, job_id: int) -> Job:
        """Return one job.

        Raises:
            UnknownJob: there is none with this id.
        """
        with self._engine.connect() as connection:
            row = connection.execute(_jobs().where(JobRow.id == job_id)).one_or_none()
        if row is None:
            raise unknown(job_id)
        return job_of(row)

    def jobs(
        self,
        states: Collection[JobState] = tuple(JobState),
        *,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Return jobs in some states, the last added first.

        Args:
            kind: only of this kind.
            before: only those with a smaller id, for the next page.
            limit: at most so many.
        """
        chosen = _jobs().where(JobRow.state.in_(states)).order_by(JobRow.id.desc()).limit(limit)
        if kind is not None:
            chosen = chosen.where(JobRow.kind == kind)
        if before is not None:
            chosen = chosen.where(JobRow.id < before)
        with self._engine.connect() as connection:
            return [job_of(row) for row in connection.execute(chosen)]

    def counts(self) -> dict[JobState, int]:
        """Count the jobs in each state."""
        with self._engine.connect() as connection:
            counted = connection.execute(
                select(JobRow.state, func.count()).group_by(JobRow.state)
            ).all()
        found = {JobState(state): count for state, count in counted}
        return {state: found.get(state, 0) for state in JobState}

    def retry(self, job_id: int) -> Job:
        """Let a job run now: one that waits at once, one that failed or was cancelled again.

        Raises:
            UnknownJob: there is none with this id.
            JobConflict: it runs or is done, or another one with its key waits already.
        """
        with writing(self._engine) as connection:
            state, key = _state_and_key(connection, job_id)
            if state in (JobState.RUNNING, JobState.DONE):
                raise JobConflict(
                    f"expected a job that waits, failed or was cancelled, got job {job_id}, which "
                    f"is {state}"
                )
            twin = waiting_twin(connection, job_id, key)
            if twin is not None:
                raise JobConflict(f"job {twin}, which does the same as job {job_id}, waits already")
            fresh = {"state": JobState.WAITING, "due_at": now(), "attempts": 0, "finished_at": None}
            connection.execute(update(JobRow).where(JobRow.id == job_id).values(**fresh))
            connection.commit()
        return self.job(job_id)

    def cancel(self, job_id: int) -> Job:
        """Cancel a job that waits or runs; the handler of one that runs is asked to stop.

        Raises:
            UnknownJob: there is none with this id.
            JobConflict: it is finished.
        """
        with writing(self._engine) as connection:
            state, _ = _state_and_key(connection, job_id)
            if state not in OPEN:
                raise JobConflict(
                    f"expected a job that waits or runs, got job {job_id}, which is {state}"
                )
            done = {"state": JobState.CANCELLED, "worker": None, "finished_at": now()}
            connection.execute(update(JobRow).where(JobRow.id == job_id).values(**done))
            connection.commit()
        return self.job(job_id)

    def prune(self, *, done_before: datetime, failed_before: datetime) -> int:
        """Delete what finished before these times, and return how many jobs that were.

        Args:
            done_before: for jobs that are done or were cancelled.
            failed_before: for jobs that failed.
        """
        removed = 0
        with writing(self._engine) as connection:
            for states, before in (
                ((JobState.DONE, JobState.CANCELLED), done_before),
                ((JobState.FAILED,), failed_before),
            ):
                old = JobRow.state.in_(states), JobRow.finished_at < before
                removed += connection.execute(delete(JobRow).where(*old)).rowcount
            connection.commit()
        return removed


def _jobs() -> Select[Any]:
    return select(JobRow.__table__)


def job_of(row: Any) -> Job:
    """Convert a row of all columns."""
    return Job(**{**row._mapping, "state": JobState(row.state)})


def _state_and_key(connection: Connection, job_id: int) -> tuple[JobState, str | None]:
    row = connection.execute(
        select(JobRow.state, JobRow.unique_key).where(JobRow.id == job_id)
    ).one_or_none()
    if row is None:
        raise unknown(job_id)
    return JobState(row.state), row.unique_key


def waiting_twin(connection: Connection, job_id: int, key: str | None) -> int | None:
    """Return another job with this key that waits, which makes a second one superfluous."""
    if key is None:
        return None
    same = JobRow.unique_key == key, JobRow.state == JobState.WAITING, JobRow.id != job_id
    return connection.scalar(select(JobRow.id).where(*same))


def unknown(job_id: int) -> UnknownJob:
    """The error of a job that is not there."""
    return UnknownJob(f"there is no job {job_id}; finished jobs are deleted after some days")
