"""Endpoints that wait for long hold no thread that others need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest
from fastapi import FastAPI

from satchel.market.accounts.passwords import Cost, Passwords
from satchel.parallel import cores
from satchel.web.state import PLACES
from satchel.web.threads import FEW, patient
from support.sockets import address_of, connected, identify_request, rest
from support.waiting import SOON_S, wait_until


def test_pages_are_answered_while_identifications_wait(app_with, run_server, draw):
    app, waiting = app_with(), 2 * FEW
    server = app.state.server
    with run_server(app) as url, ExitStack() as open_:
        for _ in range(cores()):
            assert server._running.acquire(timeout=SOON_S)  # so that all others wait
        try:
            clients = [open_.enter_context(connected(address_of(url))) for _ in range(waiting)]
            for client in clients:
                client.sendall(identify_request(draw("Z-9")))
            wait_until(lambda: server._places._value == PLACES - waiting)
            assert httpx.get(url, timeout=SOON_S).is_success
        finally:
            for _ in range(cores()):
                server._running.release()
        for client in clients:
            assert rest(client).startswith(b"HTTP/1.1 200 ")


CHEAP = Cost(memory_kib=8, passes=1, lanes=1)


async def on_the_event_loop() -> str:
    return Passwords(CHEAP).hash("fine rain on seven roofs")


def in_a_thread_of_few() -> str:
    return Passwords(CHEAP).hash("fine rain on seven roofs")


@pytest.mark.parametrize(
    ("endpoint", "held"),
    [
        (on_the_event_loop, "the event loop"),
        (in_a_thread_of_few, "one of the few threads"),
        (patient(in_a_thread_of_few), ""),
    ],
)
def test_tests_find_endpoints_that_wait_where_nothing_may(
    endpoint: Callable[..., object],
    held: str,
    app_with: Callable[..., FastAPI],
    serve_app: Callable[[FastAPI], httpx.Client],
    waits: list[str],
) -> None:
    app = app_with()
    app.get("/waits")(endpoint)
    assert serve_app(app).get("/waits").is_success
    assert [f"holds {held}:" in one for one in waits] == ([True] if held else [])
    waits.clear()
