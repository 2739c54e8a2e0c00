"""The log of what was refused: every kind, once, without what was sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI

from satchel.web.logs import SECURITY, JsonFormatter, LineFormatter
from satchel.web.visitors import CSRF_HEADER
from satchel.workspace import Workspace
from support.market import PASSWORD, fill_in, logged_in, make_account, market_app

SECRET = "a secret that nobody may read"


@pytest.fixture
def url(
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[str]:
    make_account(own_workspace, "mina@example.com")
    with caplog.at_level(logging.INFO, SECURITY), run_server(market_app(own_workspace)) as url:
        yield url


def refused(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str, bool]]:
    """Method, path and kind of each refusal since the last call, and whether somebody is named."""
    found = [
        (one["method"], one["path"], one["problem"], one["account"] is not None)
        for record in caplog.records
        if record.name == SECURITY
        for one in (record.figures,)  # type: ignore[attr-defined]
    ]
    caplog.clear()
    return found


def test_each_kind_is_named_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with httpx.Client(base_url=url, timeout=60) as nobody:
        fill_in(nobody, "/login", email="mina@example.com", password=SECRET)
        assert refused(caplog) == [("POST", "/login", "log-in-failed", False)]
        nobody.post("/api/v1/session", json={"email": "mina@example.com", "password": SECRET})
        nobody.get("/api/v1/listings")
        nobody.get("/api/v1/products", headers={"authorization": f"Bearer {SECRET}"})
        nobody.get("/", headers={"host": "evil.example"})
        assert refused(caplog) == [
            ("POST", "/api/v1/session", "log-in-failed", False),
            ("GET", "/api/v1/listings", "log-in", False),
            ("GET", "/api/v1/products", "bad-api-key", False),
            ("GET", "/", "unknown-host", False),
        ]
    with logged_in(url, "mina@example.com") as mina:
        mina.get("/api/v1/admin/audit")
        mina.post("/api/v1/account/password", json={"old": SECRET, "new": PASSWORD, "more": 1})
        del mina.headers[CSRF_HEADER]
        mina.post("/api/v1/listings")
        assert refused(caplog) == [
            ("GET", "/api/v1/admin/audit", "forbidden", True),
            ("POST", "/api/v1/account/password", "invalid-request", True),
            ("POST", "/api/v1/listings", "stale-form", True),
        ]
        mina.get("/api/v1/account")
        mina.get("/api/v1/listings/none")  # not there, but not refused
        assert refused(caplog) == []


def test_lines_hold_nothing_that_was_sent_and_cannot_be_forged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/api/v1/listings/%0AINFO%20refused%20nobody%1B%5B2J"
    httpx.get(f"{url}{path}?secret={SECRET}", headers={"user-agent": SECRET, "cookie": SECRET})
    (record,) = [record for record in caplog.records if record.name == SECURITY]
    for line in (LineFormatter().format(record), JsonFormatter().format(record)):
        assert line.isprintable()
        assert SECRET not in line
        assert "secret" not in line
    assert json.loads(JsonFormatter().format(record))["path"] == path
