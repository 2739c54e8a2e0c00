"""The pace of requests to one host: delays, back-off, and when to stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

from satchel.collect.fetching import Kind, Outcome


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a host is tried.

    Attributes:
        attempts: of one candidate.
        first_wait_s: before the second attempt; each further wait is twice as long.
        longest_wait_s: a host that asks for more is left until the next run.
        blocks: answers in a row that look like a block, after which the host is left.
    """

    attempts: int = 4
    first_wait_s: float = 2.0
    longest_wait_s: float = 300.0
    blocks: int = 5

    def wait(self, attempts: int) -> float:
        """Seconds before the next attempt, after so many."""
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** (attempts - 1))


class Queued(Protocol):
    """What is requested: a candidate, or a page."""

    @property
    def id(self) -> int:
        """Number, by which they are requested."""

    @property
    def attempts(self) -> int:
        """Requests so far."""


One = TypeVar("One", bound=Queued)


class HostQueue(Generic[One]):
    """Candidates of one host that wait, and when the next one may be requested. Not thread-safe.

    Attributes:
        stopped: why the host is left until the next run; empty where it is not.
        suspended: candidates that only answers like a block were given for.
    """

    def __init__(
        self,
        more: Callable[[int], Sequence[One]],
        *,
        delay_s: float,
        at_once: int,
        patience: Patience,
    ) -> None:
        """Make a queue.

        Args:
            more: id → the next candidates with higher ids; none at the end.
            delay_s: between the starts of two requests, at least.
            at_once: requests in flight, at most.
            patience: how long the host is tried.
        """
        self.stopped = ""
        self.suspended: list[tuple[One, str]] = []
        self._more, self._patience = more, patience
        self._delay_s, self._at_once = delay_s, at_once
        self._page: deque[One] = deque()
        self._last, self._exhausted = 0, False
        self._later: list[tuple[float, int, One]] = []
        self._ready_at = 0.0
        self._in_flight = 0

    @property
    def done(self) -> bool:
        """Whether nothing is in flight and nothing is left to request."""
        if self._in_flight:
            return False
        return bool(self.stopped) or not (self._later or self._next_page())

    def take(self, now: float) -> One | None:
        """Return a candidate to be requested now, if there is one."""
        if self.stopped or self._in_flight >= self._at_once or now < self._ready_at:
            return None
        if self._later and self._later[0][0] <= now:
            candidate = heappop(self._later)[2]
        elif self._next_page():
            candidate = self._page.popleft()
        else:
            return None
        self._in_flight += 1
        self._ready_at = now + self._delay_s
        return candidate

    def put_back(self) -> None:
        """End a request that was not made: it costs no delay."""
        self._in_flight -= 1
        self._ready_at = 0.0

    def finish(self, candidate: One, outcome: Outcome, now: float) -> bool:
        """End a request; return whether its outcome is final.

        Args:
            candidate: with the attempts that were made, this one included.
            outcome: of the request.
            now: the time.
        """
        self._in_flight -= 1
        self._delay_s = max(self._delay_s, outcome.delay_s)
        if outcome.kind is Kind.STOP_HOST:
            self.stopped = self.stopped or outcome.reason
            return False
        if outcome.kind is Kind.BLOCKED:
            return self._blocked(candidate, outcome, now)
        if outcome.kind is Kind.LATER:
            return self._postponed(candidate, outcome, now)
        self.suspended.clear()
        return True

    def _blocked(self, candidate: One, outcome: Outcome, now: float) -> bool:
        self.suspended.append((candidate, outcome.reason))
        if len(self.suspended) >= self._patience.blocks:
            self.stopped = (
                f"{len(self.suspended)} answers in a row say that it does not want us: the last "
                f"one {outcome.reason}; ask its owner, or run this again later"
            )
            return False
        if outcome.wait_s is not None:
            return self._postponed(candidate, outcome, now)
        return True

    def _postponed(self, candidate: One, outcome: Outcome, now: float) -> bool:
        asked = outcome.wait_s or 0.0
        if asked > self._patience.longest_wait_s:
            self.stopped = f"it asks to wait for {asked:,.0f} seconds: run this again later"
            return False
        if candidate.attempts >= self._patience.attempts:
            return True
        until = now + max(asked, self._patience.wait(candidate.attempts))
        if outcome.wait_s is not None:  # it is the host that asks, for all its URLs
            self._ready_at = max(self._ready_at, until)
        heappush(self._later, (until, candidate.id, candidate))
        return False

    def _next_page(self) -> bool:
        if not self._page and not self._exhausted:
            self._page.extend(self._more(self._last))
            self._exhausted = not self._page
            if self._page:
                self._last = self._page[-1].id
        return bool(self._page)
