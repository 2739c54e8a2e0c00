"""Endpoints that wait for long hold no thread that others need."""

from __future__ import annotations

from contextlib import ExitStack

import httpx

from satchel.parallel import cores
from satchel.web.state import PLACES
from satchel.web.threads import FEW
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
