"""Progress that is counted."""

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
