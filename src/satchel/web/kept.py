"""Things that the server keeps for a while under a token, in bounded memory.

Uploaded photos, so that a person who moves a box does not send them again; and answers, so that
feedback can say which one it is about.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final, Generic, TypeVar

from satchel.errors import UploadExpired

TOKEN_BYTES: Final = 24
MAX_TOKEN_CHARS: Final = 64

Kind = TypeVar("Kind")


def new_token() -> str:
    """Make a token of 192 random bits, which cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(slots=True)
class _Entry(Generic[Kind]):
    value: Kind
    size_bytes: int
    session: str
    used_at: float


class Kept(Generic[Kind]):
    """Values under tokens: the least recently used ones go first. Thread-safe.

    Attributes:
        max_bytes: of all values together.
        size_bytes: of those that are kept.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        max_count: int,
        max_of_session: int,
        max_age_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set limits.

        Args:
            max_bytes, max_count: of all values together.
            max_of_session: values of one session, at most.
            max_age_s: seconds after its last use for which a value is kept.
            clock: seconds that never run backwards.
        """
        self.max_bytes = max_bytes
        self._max_count = max_count
        self._max_of_session = max_of_session
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[str, _Entry[Kind]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        with self._lock:
            self._expire()
            return len(self._entries)

    def put(self, session: str, value: Kind, size_bytes: int) -> str | None:
        """Keep a value; return its token, or None where it is larger than all values may be."""
        if size_bytes > self.max_bytes:
            return None
        token = new_token()
        with self._lock:
            self._expire()
            self._entries[token] = _Entry(value, size_bytes, session, self._clock())
            self.size_bytes += size_bytes
            of_session = [t for t, entry in self._entries.items() if entry.session == session]
            for oldest in of_session[: -self._max_of_session]:
                self._remove(oldest)
            while self.size_bytes > self.max_bytes or len(self._entries) > self._max_count:
                self._remove(next(iter(self._entries)))
        return token

    def get(self, session: str, token: str) -> Kind:
        """Return the value of a token, which counts as used now.

        Raises:
            UploadExpired: there is none, or it is another session's.
        """
        with self._lock:
            return self._get(session, token)

    def take(self, session: str, token: str) -> Kind:
        """Return the value of a token, which is kept no longer.

        Raises:
            UploadExpired: there is none, or it is another session's.
        """
        with self._lock:
            value = self._get(session, token)
            self._remove(token)
            return value

    def _get(self, session: str, token: str) -> Kind:
        self._expire()
        entry = self._entries.get(token)
        if entry is None or not secrets.compare_digest(entry.session.encode(), session.encode()):
            raise UploadExpired(
                f"expected a token that was given within the last {self._max_age_s / 60:,.0f} "
                "minutes to this browser, got another one; send the photos again"
            )
        entry.used_at = self._clock()
        self._entries.move_to_end(token)
        return entry.value

    def _expire(self) -> None:
        """Drop what has not been used for too long: the first entries, since they are in order."""
        oldest = self._clock() - self._max_age_s
        while self._entries and next(iter(self._entries.values())).used_at < oldest:
            self._remove(next(iter(self._entries)))

    def _remove(self, token: str) -> None:
        self.size_bytes -= self._entries.pop(token).size_bytes
