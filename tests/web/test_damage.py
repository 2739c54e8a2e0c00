"""A server whose files are damaged while it runs."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from damage import flip_a_bit_of
from satchel.search.index import GalleryIndex
from satchel.web.app import create_app
from satchel.workspace import Workspace

Serve = Callable[[FastAPI], httpx.Client]


@pytest.mark.parametrize("field", ["rules", "revision", "encoder"])
def test_a_damaged_index_is_made_again_unnoticed(
    own_workspace: Workspace, serve_app: Serve, draw: Callable[[str], bytes], field: str
) -> None:
    path = own_workspace.index_path
    flip_a_bit_of(path, field)
    client = serve_app(create_app(own_workspace))
    assert client.get("/").status_code == 200
    assert GalleryIndex.load(path).encoder  # it is whole again
    flip_a_bit_of(path, field)
    health = client.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    files = {"photos": ("a.jpg", draw("M22675"))}
    flip_a_bit_of(path, field)
    answer = client.post("/api/v1/identify", files=files)
    assert answer.json()["candidates"][0]["code"] == "M22675"


@pytest.mark.parametrize("damage", ["lost", "garbage"])
def test_a_lost_database_is_reported_without_internals(
    own_workspace: Workspace,
    serve_app: Serve,
    draw: Callable[[str], bytes],
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    client = serve_app(create_app(own_workspace))
    assert client.get("/healthz").status_code == 200
    database = own_workspace.folder / "satchel.db"
    database.unlink()
    if damage == "garbage":
        database.write_bytes(b"no database " * 1000)
    health = client.get("/healthz")
    assert health.status_code == 503
    assert "catalogue cannot be used" in health.json()["detail"]
    page = client.get("/", headers={"Accept": "text/html"})
    answer = client.post("/api/v1/identify", files={"photos": ("a.jpg", draw("M22675"))})
    for told in (page, answer):
        assert told.status_code == 503
        assert int(told.headers["retry-after"]) > 0
        assert str(own_workspace.folder) not in told.text
        assert "sqlite" not in told.text.lower()
    assert database.exists() == (damage == "garbage")
    assert str(database) in caplog.text
    assert "Traceback" not in caplog.text
