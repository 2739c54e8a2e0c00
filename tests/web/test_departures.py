"""Clients that leave before their answer."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from satchel.identify import Identifier
from satchel.parallel import cores
from satchel.web.middleware.departures import NoticedDepartures, is_gone
from support.sockets import address_of, connected, identify_request, rest
from support.waiting import SOON_S, wait_until


def test_nothing_is_computed_for_who_is_gone(app_with, run_server, draw, monkeypatch):
    looked: list[bytes] = []
    embed = Identifier.embed

    def noted(self: Identifier, photos: list[bytes], boxes: object = None) -> object:
        looked.extend(photos)
        return embed(self, photos, boxes)  # type: ignore[arg-type]

    monkeypatch.setattr(Identifier, "embed", noted)
    app = app_with()
    running = app.state.server._running
    with run_server(app) as url:
        site = address_of(url)
        for _ in range(cores()):
            assert running.acquire(timeout=SOON_S)  # all cores are busy, so that requests wait
        with connected(site) as gone, connected(site) as stays:
            gone.sendall(identify_request(draw("Z-9")))
            stays.sendall(identify_request(draw("M22675")))
            wait_until(lambda: app.state.server._places._value == 30)
            gone.close()
            time.sleep(0.3)
            for _ in range(cores()):
                running.release()
            assert rest(stays).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: app.state.server._places._value == 32)
    assert looked == [draw("M22675")]


@pytest.mark.parametrize(
    ("path", "noticed"),
    [
        ("/identify", True),
        ("/listings/abc-1_Z/identify", True),
        ("/api/v1/listings/abc-1_Z/identify", True),
        ("/listings/abc-1_Z/photos", False),
        ("/listings/a/b/identify", False),
    ],
)
def test_departures_are_noticed_where_photos_are_looked_at(path: str, noticed: bool) -> None:
    """Before the answer, by a client that closes its connection after the body."""
    told: list[bool] = []
    sent: list[Message] = [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]
    messages = iter(sent)

    async def receive() -> Message:
        return next(messages)

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        await receive()
        await asyncio.sleep(0)
        told.append(is_gone(Request(scope))())

    async def send(_: Message) -> None:
        raise AssertionError("nothing is sent")

    watched = NoticedDepartures(app, paths=("/identify",))
    asyncio.run(watched({"type": "http", "path": path}, receive, send))
    assert told == [noticed]


@pytest.mark.parametrize("cut", [50, 300, 2000])
def test_who_leaves_in_the_middle_of_a_request_harms_nobody(
    app_with, run_server, draw, cut, caplog
):
    with run_server(app_with()) as url:
        site = address_of(url)
        for _ in range(5):
            with connected(site) as connection:
                connection.sendall(identify_request(draw("Z-9"))[:cut])
        with connected(site) as connection:
            connection.sendall(identify_request(draw("Z-9")))
            assert rest(connection).startswith(b"HTTP/1.1 200 ")
    assert not [record for record in caplog.records if record.exc_info]
