"""What a worker does to the table: take jobs for a while, keep them, and end them.

A lease is a job's id, its worker and the count of its attempts. Every change by a worker asks for
all three, so that one whose lease is over changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, exists, select, update
from sqlalchemy.orm import aliased

from satchel.catalog.database import writing
from satchel.catalog.dialect import skip_locked
from satchel.catalog.tables import now
from satchel.jobs.queue import OPEN, job_of, waiting_twin
from satchel.jobs.records import Arguments, Job, JobState
from satchel.jobs.tables import JobRow

MOST_ERROR_CHARS: Final = 2_000

_LEFT: Final = "its worker ended or took too long, in each attempt"


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of one worker. Thread-safe.

    Attributes:
        worker: its name, which no other worker has.
        length: of a lease; it has to be extended before it is over.
    """

    engine: Engine
    worker: str
    length: timedelta

    def due(self, kinds: Collection[str]) -> bool:
        """Whether there is a job to take; reads only, so that an idle worker locks nothing."""
        with self.engine.connect() as connection:
            return connection.scalar(select(exists().where(*_due(kinds)))) or False

    def take(self, kinds: Collection[str], most: int) -> list[Job]:
        """Take up to `most` due jobs of some kinds, those that are due the longest first.

        A job whose lease is over is taken again, or has failed if that was its last attempt.
        """
        at = now()
        row = aliased(JobRow)  # not the updated one, to which the subquery would refer
        due = select(row.id).where(*_due(kinds, row)).order_by(row.due_at, row.id).limit(most)
        with writing(self.engine) as connection:
            spent = {"state": JobState.FAILED, "error": _LEFT, "worker": None, "finished_at": at}
            connection.execute(
                update(JobRow)
                .where(*_due(kinds), JobRow.attempts >= JobRow.max_attempts)
                .values(**spent)
            )
            rows = connection.execute(
                update(JobRow)
                .where(JobRow.id.in_(skip_locked(due, row)))
                .values(
                    state=JobState.RUNNING,
                    worker=self.worker,
                    due_at=at + self.length,
                    attempts=JobRow.attempts + 1,
                    started_at=at,
                )
                .returning(*JobRow.__table__.columns)
            ).all()
            connection.commit()
        return sorted((job_of(row) for row in rows), key=lambda job: job.id)

    def extend(self, jobs: Collection[Job]) -> set[int]:
        """Extend the leases of some jobs; return the ids of those that are still held."""
        held = set()
        with writing(self.engine) as connection:
            for job in jobs:
                if self._set(connection, job, due_at=now() + self.length):
                    held.add(job.id)
            connection.commit()
        return held

    def done(self, job: Job, result: Arguments | None) -> bool:
        """Record that a job is done; False where the lease was lost, and nothing is changed."""
        return self._end(job, state=JobState.DONE, result=result, error=None, finished_at=now())

    def failed(self, job: Job, error: str) -> bool:
        """Record that a job has failed for good; False where the lease was lost."""
        shown = error[:MOST_ERROR_CHARS]
        return self._end(job, state=JobState.FAILED, error=shown, finished_at=now())

    def put_back(self, job: Job, wait: timedelta, error: str | None) -> bool:
        """Let a job wait for another attempt; False where the lease was lost.

        Where another one with its key waits already, this one is cancelled: it does the same.

        Args:
            error: of the attempt; without one, the attempt does not count.
        """
        with writing(self.engine) as connection:
            twin = waiting_twin(connection, job.id, job.unique_key)
            if twin is not None:
                change: dict[str, Any] = {"state": JobState.CANCELLED, "finished_at": now()}
                error = f"job {twin} does the same" + (f"; {error}" if error else "")
            else:
                change = {"state": JobState.WAITING, "due_at": now() + wait}
                change |= {} if error else {"attempts": job.attempts - 1}
            if error:
                change["error"] = error[:MOST_ERROR_CHARS]
            held = self._set(connection, job, worker=None, **change)
            connection.commit()
        return held

    def _end(self, job: Job, **values: Any) -> bool:
        with writing(self.engine) as connection:
            held = self._set(connection, job, worker=None, **values)
            connection.commit()
        return held

    def _set(self, connection: Connection, job: Job, **values: Any) -> bool:
        lease = (
            JobRow.id == job.id,
            JobRow.state == JobState.RUNNING,
            JobRow.worker == self.worker,
            JobRow.attempts == job.attempts,
        )
        return connection.execute(update(JobRow).where(*lease).values(**values)).rowcount == 1


def _due(kinds: Collection[str], row: type[JobRow] = JobRow) -> tuple[ColumnElement[bool], ...]:
    """The jobs that may be taken now: due, and no other one with their key runs."""
    other = aliased(JobRow)
    same = other.unique_key == row.unique_key, other.state == JobState.RUNNING
    return (
        row.state.in_(OPEN),
        row.due_at <= now(),
        row.kind.in_(kinds),
        ~exists().where(*same, other.id != row.id),
    )
