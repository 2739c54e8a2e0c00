"""Progress that is counted, and progress that kills."""

from __future__ import annotations


class Counter:
    """Counts the items that are done, and those of all stages.

    Attributes:
        done: items so far.
        total: items of all stages that began.
    """

    def __init__(self) -> None:
        self.done = 0
        self.total = 0

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        self.done += done
        self.total += total

    def advance(self, count: int = 1) -> None:
        self.done += count


class Killed(BaseException):
    """Stands for a signal: nothing of Satchel's catches it."""


class Killing:
    """Raises `Killed` once so many items of a stage are done, those of earlier tries included.

    Args:
        at: items; None: never.
        stage: the stage in which it kills.

    Attributes:
        done: items of the stage under way.
        resumed_at: items that were done when that stage began.
    """

    def __init__(self, at: int | None = None, *, stage: str = "train") -> None:
        self._at = at
        self._kills_in = stage
        self._stage = ""
        self.done = self.resumed_at = 0

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        self._stage = stage
        self.done = self.resumed_at = done

    def advance(self, count: int = 1) -> None:
        self.done += count
        if self._at is not None and self._stage == self._kills_in and self.done >= self._at:
            raise Killed
