"""Slow, idle and many connections: real sockets, with deadlines of tenths of a second."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from satchel.photo_header import MEGABYTE
from satchel.web.connections import RESERVED_FILES, Connections, affordable
from support.sockets import (
    GET,
    IDLE_POST,
    Address,
    address_of,
    connected,
    identify_request,
    rest,
)

HEADERS_S = 0.5
BODY_S = 0.6
MOST = 20
OF_ONE = 5
SOON_S = 5.0
"""Far more than the short deadlines."""
LONG_S = 120.0
"""Far more than a test takes."""

Serving = Callable[[FastAPI], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def site(app_with: Callable[..., FastAPI], run_server: Serving) -> Iterator[Address]:
    """A server with short deadlines."""
    with run_server(app_with(header_seconds=HEADERS_S, body_seconds=BODY_S)) as url:
        yield address_of(url)


@pytest.fixture(scope="module")
def small_site(app_with: Callable[..., FastAPI], run_server: Serving) -> Iterator[Address]:
    """A server for few connections, with long deadlines."""
    app = app_with(
        header_seconds=LONG_S,
        body_seconds=LONG_S,
        max_connections=MOST,
        max_connections_per_address=OF_ONE,
    )
    with run_server(app) as url:
        yield address_of(url)


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
    finally:
        connection.settimeout(60)


def assert_answered(site: Address, source: str = "127.0.0.1") -> None:
    """An ordinary request is answered long before the deadlines of the others."""
    begin = time.monotonic()
    with connected(site, source) as connection:
        connection.sendall(GET)
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert time.monotonic() - begin < LONG_S / 2


# -- slow clients -------------------------------------------------------------------------------


def trickle(connection: socket.socket, data: bytes, pause_s: float) -> float:
    """Send byte by byte until the server closes; how long that took."""
    begin = time.monotonic()
    connection.settimeout(pause_s)
    for byte in data:
        try:
            connection.sendall(bytes((byte,)))
            if connection.recv(1, socket.MSG_PEEK) is not None:
                break  # closed, or answered
        except TimeoutError:
            continue
        except OSError:
            break
    connection.settimeout(60)
    return time.monotonic() - begin


def test_headers_that_trickle(site):
    with connected(site) as connection:
        assert trickle(connection, GET[:-2] + b"X-A: " + b"a" * 1000, 0.05) < SOON_S
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_never_says_anything_is_closed_without_a_word(site):
    with connected(site) as connection:
        assert rest(connection) == b""


def test_headers_of_a_second_request_have_a_deadline_too(site):
    with connected(site) as connection:
        connection.sendall(GET)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert trickle(connection, GET[:-2] + b"X-A: " + b"a" * 1000, 0.05) < SOON_S
        assert b" 408 " in rest(connection)


@pytest.mark.parametrize("path", [b"/api/v1/identify", b"/api/v1/feedback", b"/nothing"])
def test_bodies_that_trickle_read_or_not(site, path):
    with connected(site) as connection:
        connection.sendall(IDLE_POST.replace(b"/api/v1/identify", path))
        begin = time.monotonic()
        connection.settimeout(0.05)
        while time.monotonic() - begin < SOON_S:
            try:
                connection.sendall(b"a")
                time.sleep(0.05)
                if not connection.recv(65_536):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - begin < SOON_S


def test_an_idle_body_is_told_that_it_was_too_slow(site):
    with connected(site) as connection:
        connection.sendall(IDLE_POST + b"--x")
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "연결이 너무 느려".encode() in answer


def test_a_slow_body_at_the_least_rate_is_read(site, draw):
    head, _, body = identify_request(draw("Z-9")).partition(b"\r\n\r\n")
    steps = 12
    size = -(-len(body) // steps)
    assert size / 0.15 > 2_000  # bytes a second: above the least rate
    with connected(site) as connection:
        connection.sendall(head + b"\r\n\r\n")
        for step in range(steps):  # for three periods
            connection.sendall(body[step * size : (step + 1) * size])
            time.sleep(0.15)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_who_does_not_take_the_answer_is_dropped(app_with, run_server):
    app = app_with(answer_seconds=0.3)

    async def large() -> object:
        from starlette.responses import StreamingResponse

        async def parts():
            for _ in range(200):
                yield bytes(MEGABYTE)

        return StreamingResponse(parts())

    app.add_api_route("/large", large)

    with run_server(app) as url, connected(address_of(url)) as connection:
        connection.sendall(GET.replace(b"/healthz", b"/large"))
        assert connection.recv(12) == b"HTTP/1.1 200"
        time.sleep(1)
        received = rest(connection)
        assert len(received) < 100 * MEGABYTE


# -- many connections ---------------------------------------------------------------------------


def test_idle_posts_lock_nobody_out(small_site):
    with ExitStack() as stack:
        flood = [stack.enter_context(connected(small_site)) for _ in range(3 * MOST)]
        for connection in flood:
            try:
                connection.sendall(IDLE_POST)
            except OSError:
                continue  # it had to make room
        assert_answered(small_site)
        assert sum(map(is_open, flood)) <= MOST


def test_one_address_gives_way_to_itself_alone(small_site):
    with ExitStack() as stack:
        other = stack.enter_context(connected(small_site, "127.0.0.3"))
        other.sendall(GET[:-2])
        flood = [stack.enter_context(connected(small_site, "127.0.0.2")) for _ in range(3 * OF_ONE)]
        assert_answered(small_site, "127.0.0.2")
        assert sum(map(is_open, flood)) < OF_ONE
        assert is_open(other)
        other.sendall(b"\r\n")
        assert other.recv(12) == b"HTTP/1.1 200"


def test_who_is_being_answered_is_never_dropped(app_with, run_server):
    app = app_with(max_connections=3)

    def slow() -> str:
        time.sleep(1)
        return "done"

    app.add_api_route("/slow", slow)

    with run_server(app) as url, ExitStack() as stack:
        site = address_of(url)
        working = [stack.enter_context(connected(site)) for _ in range(3)]
        for connection in working:
            connection.sendall(GET.replace(b"/healthz", b"/slow"))
        time.sleep(0.3)
        one_more = stack.enter_context(connected(site))
        refused = rest(one_more)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5\r\n" in refused.lower()
        assert "접속이 너무 많아요".encode() in refused
        for connection in working:
            assert connection.recv(12) == b"HTTP/1.1 200"


@dataclass(eq=False)
class Waiting:
    waits_since: float | None
    dropped: bool = field(default=False, init=False)

    def drop(self) -> None:
        assert self.waits_since is not None
        self.dropped = True


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.none() | st.floats(0, 100, allow_nan=False)),
        max_size=40,
    )
)
def test_limits_hold_whatever_comes(arrivals):
    limits = Connections(most=6, most_per_address=3, unlimited=("d",))
    present: list[tuple[str, Waiting]] = []
    for client, waits_since in arrivals:
        came = Waiting(waits_since)
        own = [one for name, one in present if name == client]
        full = client != "d" and len(own) == 3
        among = own if full else [one for _, one in present] if len(present) == 6 else []
        waits = [one.waits_since for one in among if one.waits_since is not None]
        admitted = limits.admit(came, client)
        assert admitted == (not among or bool(waits))
        gone = [one for _, one in present if one.dropped]
        assert [one.waits_since for one in gone] == ([min(waits)] if waits else [])
        present = [(name, one) for name, one in present if not one.dropped]
        if admitted:
            present.append((client, came))
        assert len(limits) == len(present)
    for _, one in present:
        limits.remove(one)
        limits.remove(one)
    assert len(limits) == 0


def test_connections_fit_into_the_open_files_that_are_allowed():
    assert affordable(100, lambda wanted: wanted) == 100
    assert affordable(100, lambda wanted: RESERVED_FILES + 50) == 25
    assert affordable(100, lambda wanted: 10) == 1
