"""A server that stops: what was begun is answered, what is new is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import httpx
from fastapi import FastAPI

from satchel.web import server as server_module
from satchel.web.listening import listen, url_of
from satchel.web.server import Server
from support.sockets import GET, IDLE_POST, address_of, connected, rest

SOON_S = 30.0


def stopping(app: FastAPI, check: Callable[[str, Server], None]) -> float:
    """Serve an application, check it, and return how long it took to end after that."""
    server = Server(app)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            check(url_of(listening), server)
        finally:
            server.should_exit = True
            begin = time.monotonic()
            thread.join(SOON_S)
    assert not thread.is_alive()
    return time.monotonic() - begin


def test_what_was_begun_is_answered_and_what_is_new_is_refused(app_with):
    app, begun, go_on = app_with(), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(SOON_S)
        return "done"

    app.add_api_route("/slow", slow)
    answers: list[httpx.Response] = []

    def check(url: str, server: Server) -> None:
        thread = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{url}/slow", timeout=60))
        )
        thread.start()
        assert begun.wait(SOON_S)
        server.should_exit = True
        end = time.monotonic() + SOON_S
        while (refused := httpx.get(f"{url}/healthz", timeout=60)).status_code == 200:
            assert time.monotonic() < end
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "10"
        assert refused.json()["type"] == "urn:satchel:problem:stopping"
        korean = {"accept": "text/html", "accept-language": "ko"}
        assert "다시 시작하는 중이에요" in httpx.get(url, headers=korean, timeout=60).text
        go_on.set()
        thread.join(SOON_S)

    stopping(app, check)
    assert answers[0].json() == "done"


def test_idle_connections_hold_nothing_up(app_with):
    def check(url: str, server: Server) -> None:
        connection = stack.enter_context(connected(address_of(url)))
        connection.sendall(GET)
        assert connection.recv(12) == b"HTTP/1.1 200"

    with ExitStack() as stack:
        assert stopping(app_with(), check) < 3


def test_a_body_that_does_not_come_holds_it_up_for_a_while_only(app_with, monkeypatch):
    monkeypatch.setattr(server_module, "GRACE_S", 0.5)

    def check(url: str, server: Server) -> None:
        with connected(address_of(url)) as connection:
            connection.sendall(IDLE_POST)
            time.sleep(0.3)
            server.should_exit = True
            begin = time.monotonic()
            rest(connection)
            assert time.monotonic() - begin < 10

    stopping(app_with(), check)
