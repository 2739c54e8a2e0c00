"""`satchel worker`: do the jobs that wait."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.output import on_terminal
from satchel.cli.shared import SOME_FAILED, complain, open_workspace, say

if TYPE_CHECKING:
    from satchel.jobs.worker import Ended


def worker(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="End when no job is due; exit code 1 if one failed.")
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=64, help="Jobs at once; default from satchel.toml.")
    ] = None,
) -> None:
    """Do the jobs that wait, until Ctrl-C; several workers share them.

    Ctrl-C or SIGTERM takes no further jobs and gives those that run half a minute to end; what is
    left then is done by the next worker. A second Ctrl-C ends at once.
    """
    from satchel.jobs.worker import Worker
    from satchel.workflows.jobs import begin_removing, handlers_of, prune_jobs

    workspace = open_workspace(context)

    def every_hour() -> None:
        prune_jobs(workspace)
        begin_removing(workspace)

    every_hour()
    line = _ProgressLine()
    worker = Worker(
        workspace.catalogue.engine,
        handlers_of(workspace),
        concurrency=concurrency or workspace.settings.jobs.concurrency,
        on_end=line.add,
        every_hour=every_hour,
    )
    with _stopped_by_signals() as stopping:
        worker.run(stopping.is_set, once=once)
    line.end()
    if once and line.failed:
        raise typer.Exit(SOME_FAILED)


class _ProgressLine:
    """How many jobs are done, on one line of a terminal; failed attempts on lines of their own."""

    def __init__(self) -> None:
        self._done: Counter[str] = Counter()
        self._live = on_terminal()
        self.failed = 0

    def add(self, ended: Ended) -> None:
        """Count an attempt that has ended."""
        from satchel.jobs.records import JobState

        self._done[ended.state.value] += 1
        self.failed += ended.state is JobState.FAILED
        if ended.error is not None:
            again = "failed" if ended.state is JobState.FAILED else "will be tried again"
            self._clear()
            complain(f"job {ended.job.id} ({ended.job.kind}) {again}: {ended.error}")
        if self._live:
            print(f"\r\x1b[2K{self._said()}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the last count."""
        self._clear()
        say(self._said())

    def _said(self) -> str:
        done, failed, again = (self._done[state] for state in ("done", "failed", "waiting"))
        return f"{done:,} done, {failed:,} failed, {again:,} to be tried again"

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; the second one ends the process."""
    stopping = Event()

    def stop(number: int, _frame: object) -> None:
        stopping.set()
        say("stopping: jobs that run have half a minute to end; Ctrl-C ends at once")
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
