"""Progress of long work: one interface for training, adapting, embedding and evaluation."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives how far the work is; a progress bar, a stopwatch, or nothing."""

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """Begin a stage of `total` items, of which `done` were finished by an earlier process.

        A total of 0 is one that is not known.
        """

    def advance(self, count: int = 1) -> None:
        """Count further items as done."""


class Silent:
    """Reports nothing."""

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """Ignore the stage."""

    def advance(self, count: int = 1) -> None:
        """Ignore the count."""


SILENT = Silent()


class Uncounted:
    """Passes on that work goes on, without counting its items."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """Stay in the stage that is counted."""

    def advance(self, count: int = 1) -> None:
        """Count nothing."""
        self._progress.advance(0)
