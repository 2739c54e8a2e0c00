"""Limits of open connections, in all and per address.

At a limit the connection that has waited longest for its client makes room for the new one. So
whoever opens connections and leaves them idle, however many, locks nobody out; a request that is
being answered is never dropped.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable
from typing import Final, Protocol

from satchel.web.addresses import counted_as

RESERVED_FILES: Final = 256
"""Open files besides those of connections: libraries, the database, the index, photos."""
FILES_PER_CONNECTION: Final = 2
"""The socket, and a temporary file of an upload."""


class Connection(Protocol):
    """What the limits need of a connection.

    Attributes:
        waits_since: when it began to wait for its client, in seconds of a steady clock; None while
            the server is working for it.
    """

    waits_since: float | None

    def drop(self) -> None:
        """Close it at once."""


class Connections:
    """The open connections of a server. For one thread.

    Args:
        most: of all addresses.
        most_per_address: of one address, or of one IPv6 network of 64 bits.
        unlimited: addresses that only `most` applies to: proxies, which bring everybody's requests.

    Attributes:
        closed: how many the server closed, by reason: "room" for another, "full" for lack of it,
            "slow" for a client that was.
    """

    def __init__(self, most: int, most_per_address: int, unlimited: Container[str] = ()) -> None:
        self.most = most
        self._most_per_address = most_per_address
        self._unlimited = unlimited
        self.closed: Counter[str] = Counter(room=0, full=0, slow=0)
        self._open: dict[Connection, str] = {}
        self._of_address: defaultdict[str, set[Connection]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, client: str) -> bool:
        """Take in a new connection, if need be in place of another; False where there is no room.

        Args:
            client: its address.
        """
        name = counted_as(client)
        own = self._of_address.get(name, set())
        if client not in self._unlimited and len(own) >= self._most_per_address:
            made_room = self._drop_longest_waiting(own)
        else:
            made_room = len(self) < self.most or self._drop_longest_waiting(self._open)
        if made_room:
            self._open[connection] = name
            self._of_address[name].add(connection)
        else:
            self.closed["full"] += 1
        return made_room

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed; nothing, where it is forgotten already."""
        name = self._open.pop(connection, None)
        if name is not None:
            self._of_address[name].remove(connection)
            if not self._of_address[name]:
                del self._of_address[name]

    def _drop_longest_waiting(self, among: Iterable[Connection]) -> bool:
        waiting = [one for one in among if one.waits_since is not None]
        if not waiting:
            return False
        longest = min(waiting, key=lambda one: one.waits_since or 0)
        self.remove(longest)
        longest.drop()
        self.closed["room"] += 1
        return True


def affordable(connections: int, limit_files: Callable[[int], int]) -> int:
    """Return how many connections the system has open files for, at most `connections`.

    Args:
        limit_files: asks the system for so many open files; returns how many are allowed.
    """
    allowed = limit_files(FILES_PER_CONNECTION * connections + RESERVED_FILES)
    return max(1, min(connections, (allowed - RESERVED_FILES) // FILES_PER_CONNECTION))


def limit_files(wanted: int) -> int:
    """Let this process open at least so many files, if the system permits; return how many."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ModuleNotFoundError:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return wanted
    allowed = wanted if hard == unlimited else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):  # macOS has another limit below this one
        return soft
    return allowed
