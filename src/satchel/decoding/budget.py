"""Memory that several callers share: who needs more than is free waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Share:
    """One caller's part of a budget: nothing at first."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def set(self, needed_bytes: int) -> None:
        """Give back what there was, and wait for this much; more than all of it counts as all."""
        self._budget.give_back(self._bytes)
        self._bytes = 0  # nothing is held while waiting, so that two cannot wait for each other
        self._bytes = self._budget.take(needed_bytes)


class MemoryBudget:
    """A number of bytes, shared by threads."""

    def __init__(self, total_bytes: int) -> None:
        self._total = self._free = total_bytes
        self._changed = Condition()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Yield a share that ends with the context."""
        share = Share(self)
        try:
            yield share
        finally:
            share.set(0)

    def take(self, needed_bytes: int) -> int:
        """Wait until that much is free, take it, and return it."""
        needed = min(needed_bytes, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= needed)
            self._free -= needed
        return needed

    def give_back(self, taken_bytes: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self._free += taken_bytes
            self._changed.notify_all()
