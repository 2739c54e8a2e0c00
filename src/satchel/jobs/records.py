"""What a job is, to those who list it and to the handler that does it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

Arguments = Mapping[str, Any]


class JobState(StrEnum):
    """Where a job is; failed and cancelled ones can be queued again."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table; see `satchel.jobs.tables.JobRow`. Times are in UTC, without a zone."""

    id: int
    kind: str
    arguments: Arguments
    unique_key: str | None
    state: JobState
    due_at: datetime
    attempts: int
    max_attempts: int
    worker: str | None
    result: Arguments | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Lease(Protocol):
    """A worker's hold on the job that it runs, as a handler sees it."""

    @property
    def job(self) -> Job:
        """The job, as it was when it was taken."""

    def lost(self) -> bool:
        """Whether to stop: the job was cancelled, the worker stops, or the lease is over."""


class GiveUp(Exception):
    """Raised by a handler whose job is of no use any more: it fails without another attempt."""


class Stopped(Exception):
    """Raised by a handler that stops because `Lease.lost`, or waits; the attempt does not count.

    Args:
        wait: until the job is due again.
    """

    def __init__(self, wait: timedelta = timedelta(0)) -> None:
        super().__init__()
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a job waits after a failed attempt: longer each time, and not all at once.

    Attributes:
        first_s: after the first attempt, in seconds.
        factor: by which every further wait is longer.
        longest_s: the longest wait, in seconds.
    """

    first_s: float = 10
    factor: float = 3
    longest_s: float = 6 * 60 * 60

    def wait(self, attempts: int, *, chance: Callable[[], float] = random.random) -> timedelta:
        """Return the wait after so many attempts, 1 or more: three quarters to all of its length.

        Args:
            chance: gives a number from 0 to 1, so that jobs that failed together do not all
                return together.
        """
        whole_s = self.longest_s
        if attempts < 64:  # a power beyond this is longer than any wait
            whole_s = min(self.longest_s, self.first_s * self.factor ** (attempts - 1))
        return timedelta(seconds=whole_s * (0.75 + 0.25 * chance()))


@dataclass(frozen=True, slots=True)
class Handler:
    """What a worker does with the jobs of one kind.

    A job may be done twice, where its worker is killed after its last step: `run` must be such that
    this does no harm.

    Attributes:
        run: does a job; what it returns is kept with the job. An exception is a failed attempt.
        backoff: the wait between attempts.
        deadline_s: seconds that an attempt may take; then its lease ends, and the job is taken
            again.
    """

    run: Callable[[Lease, Arguments], Arguments | None]
    backoff: Backoff = Backoff()
    deadline_s: float = 60 * 60


Handlers = Mapping[str, Handler]
"""Kind of job → its handler."""
