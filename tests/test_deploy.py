"""The files that operators copy: they name what exists, and what they run works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from satchel.config import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICE = (ROOT / "deploy" / "satchel.service").read_text(encoding="utf-8")
WORKER = (ROOT / "deploy" / "satchel-worker.conf").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_image_is_made_of_files_that_exist():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert "src" in names
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in names:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored, name


def test_the_image_and_the_service_run_commands_that_exist():
    for command in (
        [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))],
        re.findall(r"^ExecStart=/opt/satchel/bin/(.+)$", SERVICE, re.MULTILINE)[0].split(),
        re.findall(r"^ExecStart=/opt/satchel/bin/(.+)$", WORKER, re.MULTILINE)[0].split(),
        [*json.loads(last("ENTRYPOINT")), *COMPOSE["services"]["worker"]["command"]],
    ):
        assert command[0] == "satchel"
        assert run(sys.executable, "-m", *command, "--help").returncode == 0


def last(instruction: str) -> str:
    return re.findall(rf"^{instruction} (.+)$", DOCKERFILE, re.MULTILINE)[-1]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that answers everything with this status; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_the_health_check_follows_the_server():
    check = json.loads(re.findall(r"HEALTHCHECK.*?CMD (\[.+?\])$", DOCKERFILE, re.M | re.S)[0])
    assert check[:2] == ["python", "-c"]
    for status, healthy in ((200, True), (503, False)):
        with answering(status) as port:
            program = check[2].replace(":8000/", f":{port}/")
            assert (run(sys.executable, "-c", program).returncode == 0) is healthy, status
    assert run(sys.executable, "-c", program).returncode != 0  # nobody answers any more


def test_compose_gives_no_rights():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
    (port,) = compose["services"]["satchel"]["ports"]
    assert port.startswith("127.0.0.1:")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_service(tmp_path: Path):
    unit = tmp_path / "satchel.service"
    unit.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", SERVICE, flags=re.MULTILINE))
    ended = run("systemd-analyze", "verify", str(unit))
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_settings_that_guides_show_are_valid():
    pages = sorted((ROOT / "docs" / "guide").glob("*.md"))
    blocks = [block for page in pages for block in TOML.findall(page.read_text(encoding="utf-8"))]
    assert len(blocks) >= 4
    for block in blocks:
        values = tomllib.loads(block)
        if values.keys() <= Settings.model_fields.keys():  # else a file of another kind
            Settings.model_validate(values)


def test_proxies_refuse_no_upload_that_the_server_takes():
    most = 8 * Settings().photos.max_bytes + 65_536
    nginx = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    assert int(re.findall(r"client_max_body_size (\d+)m;", nginx)[0]) * 1024**2 >= most
    caddy = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    assert int(re.findall(r"max_size (\d+)MB", caddy)[0]) * 1000**2 >= most
