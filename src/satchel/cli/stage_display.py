"""How far a stage of long work is, on stderr: a bar on terminals, else a line every half minute."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from satchel.cli.output import Verbosity, on_terminal, say, verbosity

if TYPE_CHECKING:
    from rich.progress import Task

LINE_EVERY_S: Final = 30

Advance = Callable[[int], None]


@contextlib.contextmanager
def show_stage(stage: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show a stage until the context ends; yield a function that counts items as done.

    Args:
        total: items of the stage; 0 if that is not known.
        done: items that were finished by an earlier process: they have no part in the rate.
    """
    if verbosity() is Verbosity.QUIET:
        yield lambda count: None
    elif on_terminal():
        with _bar(stage, total, done) as advance:
            yield advance
    else:
        lines = StageLines(stage, total, done)
        yield lines.advance
        lines.end()


@contextlib.contextmanager
def show_answers(stage: str, total: int) -> Iterator[Advance]:
    """Show how many of several answers are given, as `show_stage` does.

    One answer needs no progress, and those that a terminal shows are progress enough.
    """
    if total < 2 or sys.stdout.isatty():
        yield lambda count: None
    else:
        with show_stage(stage, total) as advance:
            yield advance


class StageLines:
    """Says how far a stage is: a line every half minute, and one at its end."""

    def __init__(
        self, stage: str, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stage, self._total = stage, total
        self._before = self._done = done
        self._clock = clock
        self._began = self._said = clock()

    def advance(self, count: int) -> None:
        """Count items as done; say so if the last line is half a minute old."""
        self._done += count
        now = self._clock()
        if now - self._said >= LINE_EVERY_S:
            self._said = now
            left = self._left(now - self._began)
            say(", ".join(filter(None, (self._counted(), self._rate(now - self._began), left))))

    def end(self) -> None:
        """Say how much was done, and how long it took."""
        seconds = self._clock() - self._began
        took = f"in {duration(seconds)}"
        say(", ".join(filter(None, (f"{self._counted()} {took}", self._rate(seconds)))))

    def _counted(self) -> str:
        if not self._total and not self._done:
            return self._stage
        of = f" of {self._total:,}" if self._total else ""
        return f"{self._stage}: {self._done:,}{of}"

    def _rate(self, seconds: float) -> str:
        return rate((self._done - self._before) / seconds) if seconds >= 1 else ""

    def _left(self, seconds: float) -> str:
        new = self._done - self._before
        if not new or self._total <= self._done:
            return ""
        return f"about {duration((self._total - self._done) * seconds / new)} left"


def rate(per_second: float) -> str:
    """Return a rate for people; empty if it is 0.

    >>> rate(41.7), rate(2.345), rate(0.05)
    ('42/s', '2.3/s', '3/min')
    """
    if per_second >= 10:
        return f"{per_second:,.0f}/s"
    if per_second >= 1:
        return f"{per_second:.1f}/s"
    return f"{60 * per_second:.0f}/min" if per_second else ""


def duration(seconds: float) -> str:
    """Return a duration for people.

    >>> duration(0.4), duration(45), duration(130), duration(3900)
    ('0.4 s', '45 s', '2 min 10 s', '1 h 5 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, over = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {over} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextlib.contextmanager
def _bar(stage: str, total: int, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(rate(task.finished_speed or task.speed or 0), style="progress.percentage")

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate()
    left = TimeRemainingColumn(elapsed_when_finished=True)
    with Progress(*columns, left, console=Console(stderr=True)) as progress:
        task = progress.add_task(stage, total=total or None, completed=done)
        yield lambda count: progress.advance(task, count)
