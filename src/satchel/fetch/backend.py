"""Network backend of httpcore2 that checks addresses when it connects, and keeps a deadline.

The name is resolved once, here, and the connection goes to an address that was checked: a name that
resolves to something else a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Final

import httpcore2

from satchel.errors import AddressRefused, FetchError
from satchel.fetch.addresses import not_public
from satchel.fetch.rules import FetchRules

Resolver = Callable[[str, int], Sequence[str]]
"""Host and port → IP addresses; raises OSError where there are none."""

MOST_TRIED: Final = 4
"""Addresses of one host that are tried, at most."""

_deadline: ContextVar[float] = ContextVar("deadline")


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Limit all that is sent and received inside to so many seconds together."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def resolve(host: str, port: int) -> list[str]:
    """Resolve a host with the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class GuardedBackend(httpcore2.NetworkBackend):
    """Connects to addresses that the rules allow, and to no others."""

    def __init__(self, rules: FetchRules, resolver: Resolver = resolve) -> None:
        self._rules = rules
        self._resolver = resolver
        self._plain = httpcore2.SyncBackend()

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """Resolve a host.

        Raises:
            AddressRefused: one of its addresses is not allowed.
            FetchError: it has none.
        """
        try:
            found = self._resolver(host, port)
        except (OSError, UnicodeError):
            raise FetchError(f"the name {host!r} has no address: check how it is written") from None
        for address in found:
            if not self._rules.allows(address):
                raise AddressRefused(not_public(host, address))
        return found

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first of the host's addresses that answers.

        Raises:
            AddressRefused, FetchError: see `addresses`.
        """
        error: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in self.addresses(host, port)[:MOST_TRIED]:
            try:
                return _TimedStream(
                    self._plain.connect_tcp(
                        address, port, _left(timeout), local_address, socket_options
                    )
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as refused:
                error = refused
        raise error

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        """Refuse: no URL leads there."""
        raise AddressRefused("expected a host, got a socket of this machine")


class _TimedStream(httpcore2.NetworkStream):
    """A connection on which no single step goes on beyond the request's deadline.

    Without it, a server that sends a byte a second never lets a timeout of a single read pass.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None) -> float | None:
    """Return the seconds that a step may take: what is left, or its own limit, if shorter."""
    end = _deadline.get(None)
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time for the request is over")
    return left if timeout is None else min(timeout, left)
