from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from satchel.errors import PortInUse, UsageError
from satchel.web.server import listen, serve, url_of
from satchel.workspace import Workspace


def test_a_port_in_use_is_reported_with_a_remedy(own_workspace: Workspace):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse) as told:
            serve(own_workspace, "127.0.0.1", port, on_ready=pytest.fail)
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


def test_it_serves_until_interrupted(workspace_folder: Path):
    script = "from satchel.cli.app import main; main()"
    environment = {**os.environ, "SATCHEL_WORKSPACE": str(workspace_folder)}
    with subprocess.Popen(
        [sys.executable, "-c", script, "serve", "--host", "0.0.0.0", "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        ready = process.stderr.readline()
        url = next(word for word in ready.split() if word.startswith("http://"))
        assert httpx.get(f"{url}/healthz", timeout=60).json()["status"] == "ok"
        for host, status in ((socket.gethostname().partition(".")[0], 200), ("evil.example", 421)):
            answer = httpx.get(f"{url}/healthz", headers={"host": host}, timeout=60)
            assert answer.status_code == status, host
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == 0
    assert "Traceback" not in rest
