from __future__ import annotations

import asyncio
import re
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from satchel.cli.qr import qr_code
from satchel.errors import PortInUse, UsageError
from satchel.web.listening import listen, network_url_of, url_of
from satchel.web.server import serve
from satchel.workspace import Workspace
from support.processes import satchel_serve


def test_a_port_in_use_is_reported_with_a_remedy(own_workspace: Workspace):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse) as told:
            serve(own_workspace, "127.0.0.1", port, on_ready=lambda place: pytest.fail(str(place)))
    assert f"port {port}" in str(told.value)
    assert f"satchel serve --port {port + 1}" in str(told.value)


def test_a_host_that_does_not_exist():
    with pytest.raises(UsageError, match="--host"):
        listen("no.such.host.invalid", 0)


def test_an_address_of_another_machine():
    with pytest.raises(UsageError, match="--host"):
        listen("192.0.2.1", 0)  # TEST-NET-1, RFC 5737


def test_url_is_one_that_a_browser_here_reaches():
    with listen("0.0.0.0", 0) as everywhere:
        assert url_of(everywhere) == f"http://127.0.0.1:{everywhere.getsockname()[1]}"
    if socket.has_ipv6:
        try:
            listening = listen("::1", 0)
        except UsageError:
            return  # an IPv4-only machine
        with listening:
            assert url_of(listening).startswith("http://[::1]:")


def test_answers_do_not_wait_for_acknowledgements():
    """Else the body of an answer follows its headers after the client's delayed ACK, 40 ms."""

    async def accepted(listening: socket.socket) -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            here = writer.get_extra_info("socket")
            found.set_result(here.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(connected, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.close()
            return await found

    with listen("127.0.0.1", 0) as listening:
        assert asyncio.run(accepted(listening)) != 0


@pytest.mark.flow
def test_it_serves_until_interrupted(workspace_folder: Path):
    with satchel_serve(workspace_folder, "--host", "0.0.0.0") as (process, url):
        assert process.stderr is not None
        assert httpx.get(f"{url}/healthz", timeout=60).json()["status"] == "ok"
        for host, status in ((socket.gethostname().partition(".")[0], 200), ("evil.example", 421)):
            answer = httpx.get(f"{url}/healthz", headers={"host": host}, timeout=60)
            assert answer.status_code == status, host
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == 0
    assert "Traceback" not in rest


def test_phones_get_a_code_to_scan():
    """OpenCV reads the code back."""
    code = qr_code("http://192.168.0.12:8000")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in code.splitlines()]
    halves = {" ": (0, 0), "▀": (255, 0), "▄": (0, 255), "█": (255, 255)}
    rows = [[halves[char][half] for char in line] for line in lines for half in (0, 1)]
    modules = np.pad(np.array(rows, np.uint8), 4, constant_values=255)
    picture = np.kron(modules, np.ones((8, 8), np.uint8))
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == "http://192.168.0.12:8000"


@pytest.mark.flow
def test_others_in_the_network_are_told_where_and_warned_of(workspace_folder: Path):
    with satchel_serve(workspace_folder, "--host", "0.0.0.0", "--qr") as (process, _):
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        text = process.stderr.read()
    if "In this network" not in text:
        pytest.skip("this machine is in no network")
    assert "█▀" in text
    assert "there are no accounts" in text


@pytest.mark.flow
def test_who_serves_this_machine_alone_is_not_warned(workspace_folder: Path):
    with satchel_serve(workspace_folder) as (process, _):
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        (hint,) = process.stderr.read().splitlines()
        assert "satchel serve --host 0.0.0.0" in hint


def test_the_address_in_the_network():
    with listen("127.0.0.1", 0) as here:
        assert network_url_of(here) is None
    with listen("0.0.0.0", 0) as everywhere:
        url = network_url_of(everywhere)
        assert url is None or httpx.URL(url).host not in ("0.0.0.0", "127.0.0.1")
        assert url is None or httpx.URL(url).port == everywhere.getsockname()[1]


@pytest.mark.flow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_an_error_of_accepting_is_logged_once(workspace_folder: Path):
    import resource

    with satchel_serve(workspace_folder) as (process, url), ExitStack() as stack:
        address = (httpx.URL(url).host, httpx.URL(url).port)
        assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
        taken = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (taken + 3, taken + 3))
        flood = [socket.create_connection(address, 60) for _ in range(20)]
        for connection in flood:
            stack.enter_context(connection)
        time.sleep(3)  # asyncio tries again every second
        for connection in flood:
            connection.close()
        assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert errors.count("cannot accept connections") == 1
    assert "Traceback" not in errors
