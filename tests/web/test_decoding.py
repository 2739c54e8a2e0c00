"""Photos are decoded in processes of their own: what becomes of the server if one fails."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from threading import Thread

import httpx
import pytest
from fastapi import FastAPI

from satchel.web.app import create_app


@pytest.fixture
def app(own_workspace) -> FastAPI:
    return create_app(own_workspace)


def pids(app: FastAPI) -> set[int]:
    found: set[int] = app.state.server.decoder.pids
    return found


def identify(site: httpx.Client, data: bytes) -> httpx.Response:
    return site.post("/api/v1/identify", files=[("photos", ("bag.jpg", data))])


def test_a_killed_worker_costs_nothing(app, serve_app, draw) -> None:
    site = serve_app(app)
    first = identify(site, draw("Z-9"))
    assert first.status_code == 200
    for pid in pids(app):
        os.kill(pid, signal.SIGKILL)
    again = identify(site, draw("Z-9"))
    assert again.json()["candidates"] == first.json()["candidates"]


def test_a_decoder_that_crashes_refuses_its_photo_and_the_server_goes_on(
    app, serve_app, draw
) -> None:
    site = serve_app(app)
    assert identify(site, draw("Z-9")).status_code == 200
    (pid,) = pids(app)
    os.kill(pid, signal.SIGSTOP)

    def crash() -> None:
        time.sleep(0.5)
        os.kill(pid, signal.SIGSEGV)
        os.kill(pid, signal.SIGCONT)

    sender = Thread(target=crash)
    sender.start()
    refused = identify(site, draw("Z-9"))
    sender.join()
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:satchel:problem:corrupt-photo"
    assert "SIGSEGV" in refused.json()["detail"]
    assert identify(site, draw("Z-9")).status_code == 200


def test_pictures_are_made_small_in_a_worker_too(app, serve_app, draw) -> None:
    site = serve_app(app)
    assert identify(site, draw("Z-9")).status_code == 200
    (killed,) = pids(app)
    os.kill(killed, signal.SIGKILL)
    product = site.get("/api/v1/products").json()["products"][0]
    assert site.get(product["thumbnail"]).headers["content-type"] == "image/jpeg"
    assert pids(app)
    assert killed not in pids(app)


def test_no_worker_is_left_when_the_server_stops(app, run_server, draw) -> None:
    with run_server(app) as url:
        data = draw("Z-9")
        assert httpx.post(f"{url}/api/v1/identify", files={"photos": data}).status_code == 200
        (pid,) = pids(app)
    assert not pids(app)
    assert not Path(f"/proc/{pid}").exists()
