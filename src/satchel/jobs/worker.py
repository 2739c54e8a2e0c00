"""A worker: takes jobs, runs each in a thread, keeps their leases, and stops in order."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, TypeVar

from sqlalchemy import Engine

from satchel.errors import SatchelError, StorageError
from satchel.jobs.leases import Leases
from satchel.jobs.records import Arguments, GiveUp, Handlers, Job, JobState, Stopped

LEASE_S: Final = 60.0
POLL_S: Final = 1.0
GRACE_S: Final = 30.0
HOUR_S: Final = 60 * 60.0
PARTS_OF_LEASE: Final = 3
"""How often a lease is extended before it would be over."""

log = logging.getLogger(__name__)


Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended.

    Attributes:
        state: of the job from now on; WAITING where there will be another attempt.
        seconds: that the attempt took.
        error: why it failed.
    """

    job: Job
    state: JobState
    seconds: float
    error: str | None


@dataclass(slots=True)
class Attempt:
    """One attempt at one job, in a thread of its own. A `Lease`."""

    job: Job
    deadline: float
    stop: Event
    began: float
    result: Arguments | None = None
    error: Exception | None = None

    def lost(self) -> bool:
        """As `Lease`."""
        return self.stop.is_set() or time.monotonic() >= self.deadline


class Worker:
    """Runs the jobs for which there are handlers."""

    def __init__(
        self,
        engine: Engine,
        handlers: Handlers,
        *,
        concurrency: int = 2,
        lease_s: float = LEASE_S,
        poll_s: float = POLL_S,
        grace_s: float = GRACE_S,
        on_end: Callable[[Ended], object] = bool,
        every_hour: Callable[[], object] = bool,
    ) -> None:
        """Set up a worker; it takes nothing yet.

        Args:
            concurrency: jobs that run at once, at most.
            lease_s: after which another worker takes the jobs of one that was killed.
            poll_s: between two questions for jobs, where there were none.
            grace_s: for jobs that run when the worker is stopped; then they are put back.
            on_end: called after each attempt.
            every_hour: called then, between jobs.
        """
        name = f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._leases = Leases(engine, name, timedelta(seconds=lease_s))
        self._handlers = handlers
        self._concurrency = concurrency
        self._beat_s = lease_s / PARTS_OF_LEASE
        self._poll_s = poll_s
        self._grace_s = grace_s
        self._on_end = on_end
        self._every_hour = every_hour
        self._next_hour = time.monotonic() + HOUR_S
        self._running: dict[int, Attempt] = {}
        self._ended: SimpleQueue[Attempt] = SimpleQueue()
        self._next_beat = 0.0

    def run(self, stopping: Callable[[], bool] = bool, *, once: bool = False) -> None:
        """Run jobs until `stopping`, or with `once` until none is due and none runs.

        Raises:
            SatchelError: the database cannot be used at the start; later the worker tries again.
        """
        due = self._leases.due(self._handlers)
        while not stopping():
            free = self._concurrency - len(self._running)
            if free and due:
                taken = self._safely(partial(self._leases.take, self._handlers, free)) or []
                for job in taken:
                    self._start(job)
            if once and not self._running and not due:
                return
            self._wait(self._poll_s if not due or self._running else 0)
            self._keep_leases()
            if time.monotonic() >= self._next_hour:
                self._next_hour = time.monotonic() + HOUR_S
                self._safely(self._every_hour)
            if len(self._running) < self._concurrency:
                due = self._safely(lambda: self._leases.due(self._handlers)) or False
        self._finish()

    def _start(self, job: Job) -> None:
        began = time.monotonic()
        attempt = Attempt(job, began + self._handlers[job.kind].deadline_s, Event(), began)
        self._running[job.id] = attempt
        # A daemon: one that does not end must not keep a stopped worker from ending.
        Thread(target=self._do, args=(attempt,), name=f"job-{job.id}", daemon=True).start()

    def _do(self, attempt: Attempt) -> None:
        handler = self._handlers[attempt.job.kind]
        try:
            attempt.result = handler.run(attempt, attempt.job.arguments)
            json.dumps(attempt.result)  # fails here, as the attempt, rather than when written
        except Exception as error:  # whatever a handler raises is a failed attempt
            attempt.error = error
        self._ended.put(attempt)

    def _wait(self, seconds: float) -> None:
        """Record attempts that end, and return soon after one did."""
        try:
            attempt = self._ended.get(timeout=seconds) if seconds else self._ended.get_nowait()
            while True:
                self._record(attempt)
                attempt = self._ended.get_nowait()
        except Empty:
            pass

    def _record(self, attempt: Attempt) -> None:
        if self._running.get(attempt.job.id) is not attempt:
            return  # its lease was lost, and perhaps it is taken again
        del self._running[attempt.job.id]
        job, error = attempt.job, attempt.error
        state, held = self._safely(lambda: self._written(attempt)) or (JobState.RUNNING, False)
        if not held:
            log.warning("job %d (%s) ended without its lease; it is not counted", job.id, job.kind)
        else:
            why = None if error is None else _said(error)
            self._on_end(Ended(job, state, time.monotonic() - attempt.began, why))

    def _written(self, attempt: Attempt) -> tuple[JobState, bool]:
        """Write what came of an attempt; return the job's state and whether it was still ours."""
        job, error = attempt.job, attempt.error
        if error is None:
            return JobState.DONE, self._leases.done(job, attempt.result)
        if isinstance(error, Stopped):
            return JobState.WAITING, self._leases.put_back(job, error.wait, None)
        if not isinstance(error, SatchelError | GiveUp | OSError):
            log.error("job %d (%s) failed", job.id, job.kind, exc_info=error)
        if isinstance(error, GiveUp) or job.attempts >= job.max_attempts:
            return JobState.FAILED, self._leases.failed(job, _said(error))
        wait = self._handlers[job.kind].backoff.wait(job.attempts)
        return JobState.WAITING, self._leases.put_back(job, wait, _said(error))

    def _keep_leases(self) -> None:
        """Extend the leases in time; let go of attempts past their deadline or cancelled."""
        at = time.monotonic()
        if not self._running or at < self._next_beat:
            return
        self._next_beat = at + self._beat_s
        kept = [one.job for one in self._running.values() if at < one.deadline]
        held = self._safely(lambda: self._leases.extend(kept))
        if held is None:
            return
        for job_id in set(self._running) - held:
            self._running.pop(job_id).stop.set()

    def _finish(self) -> None:
        """Give jobs that run some time to end, then put them back for another worker."""
        for attempt in self._running.values():
            attempt.stop.set()
        end = time.monotonic() + self._grace_s
        while self._running and time.monotonic() < end:
            self._wait(min(self._poll_s, self._grace_s))
            self._keep_leases()
        for attempt in self._running.values():
            self._safely(partial(self._leases.put_back, attempt.job, timedelta(0), None))
        self._running.clear()

    def _safely(self, step: Callable[[], Step]) -> Step | None:
        """Do a step with the database; None where it cannot be used now."""
        try:
            return step()
        except StorageError as error:
            log.warning("%s", error)
            time.sleep(self._poll_s)
            return None


def _said(error: Exception) -> str:
    """An error as it is kept with the job: of ours the message, of others their kind too."""
    if isinstance(error, SatchelError | GiveUp):
        return str(error)
    return f"{type(error).__name__}: {error}"
