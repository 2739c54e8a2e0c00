"""Live and ready; what is answered on a full disk, under a lock, with damaged files."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event

from satchel.web import readiness, state
from satchel.web.app import create_app
from satchel.workspace import Workspace

Serve = Callable[[FastAPI], httpx.Client]
HTML = {"Accept": "text/html"}


def failing(answer: httpx.Response) -> dict[str, str]:
    """The checks that failed, and why."""
    told = answer.json()
    assert answer.status_code == 503, told
    assert told["type"] == "urn:satchel:problem:not-ready"
    assert int(answer.headers["retry-after"]) > 0
    assert [check["name"] for check in told["checks"]] == list(readiness.CHECKS)
    return {check["name"]: check["reason"] for check in told["checks"] if not check["ok"]}


def test_ready(client: httpx.Client) -> None:
    assert client.get("/healthz/live").json() == {"status": "alive"}
    told = client.get("/healthz/ready").json()
    assert told["status"] == "ready"
    assert {check["name"]: check["ok"] for check in told["checks"]} == dict.fromkeys(
        readiness.CHECKS, True
    )


def test_an_empty_workspace_is_not_ready(empty_workspace: Workspace, serve_app: Serve) -> None:
    client = serve_app(create_app(empty_workspace))
    assert client.get("/healthz/live").status_code == 200
    assert failing(client.get("/healthz/ready")) == {"index": "There is no index yet"}


def lose_the_database(workspace: Workspace) -> None:
    (workspace.folder / "satchel.db").unlink()


def damage_the_card(workspace: Workspace) -> None:
    (workspace.models / "stub" / "card.json").write_text("{}")


def damage_what_says_which_is_served(workspace: Workspace) -> None:
    (workspace.models / "serving.json").write_text("no JSON")


@pytest.mark.parametrize(
    ("damage", "failed"),
    [
        (lose_the_database, {"database", "lock", "index"}),
        (damage_the_card, {"encoder", "index"}),
        (damage_what_says_which_is_served, {"encoder", "index"}),
    ],
)
def test_what_is_damaged_is_named_and_the_server_lives(
    own_workspace: Workspace,
    serve_app: Serve,
    damage: Callable[[Workspace], None],
    failed: set[str],
) -> None:
    client = serve_app(create_app(own_workspace))
    assert client.get("/healthz/ready").status_code == 200
    damage(own_workspace)
    own_workspace.index_path.touch()  # read again
    answer = client.get("/healthz/ready")
    assert set(failing(answer)) == failed
    assert str(own_workspace.folder) not in answer.text
    assert client.get("/healthz/live").status_code == 200


def test_a_locator_that_is_gone(own_workspace: Workspace, serve_app: Serve) -> None:
    app = create_app(own_workspace)
    settings = own_workspace.settings
    rules = settings.locate.model_copy(update={"model": "gone/card.json"})
    changed = Workspace(own_workspace.folder, settings.model_copy(update={"locate": rules}))
    app.state.server.workspace = changed
    assert "locator" in failing(serve_app(app).get("/healthz/ready"))
    changed.catalogue.close()


def test_a_disk_that_is_nearly_full(
    own_workspace: Workspace, serve_app: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve_app(create_app(own_workspace))
    usage = shutil.disk_usage(own_workspace.folder)._replace(free=readiness.FREE_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert failing(client.get("/healthz/ready")) == {"disk": "The server's disk is full"}


def test_a_read_only_disk(
    own_workspace: Workspace, serve_app: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve_app(create_app(own_workspace))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert set(failing(client.get("/healthz/ready"))) == {"disk"}


def a_decision(workspace: Workspace, client: httpx.Client) -> httpx.Response:
    with closing(sqlite3.connect(workspace.folder / "satchel.db")) as database:
        link = database.execute("SELECT min(id) FROM product_photos").fetchone()[0]
    form = {"link_id": link, "choice": "drop", "state": "doubtful"}
    return client.post("/review/decide", data=form)


def test_a_lock_that_is_held_too_long(
    own_workspace: Workspace,
    serve_app: Serve,
    draw: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert state.DATABASE_WAIT_MS <= 5_000  # a command waits longer
    monkeypatch.setattr(state, "DATABASE_WAIT_MS", 50)
    monkeypatch.setattr(readiness, "LOCK_WAIT_MS", 50)
    client = serve_app(create_app(own_workspace))
    path = own_workspace.folder / "satchel.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert set(failing(client.get("/healthz/ready"))) == {"lock"}
        refused = a_decision(own_workspace, client)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["type"].endswith(":database-busy")
        photo = {"photos": ("a.jpg", draw("M22675"))}
        assert client.post("/api/v1/identify", files=photo).status_code == 200  # it only reads
    assert client.get("/healthz/ready").status_code == 200
    assert a_decision(own_workspace, client).status_code == 303


def no_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/lib/secret")


@pytest.mark.parametrize("of", ["a file", "the database"])
def test_a_full_disk_is_507_and_identification_continues(
    own_workspace: Workspace, serve_app: Serve, draw: Callable[[str], bytes], of: str
) -> None:
    engine = own_workspace.catalogue._engine

    @event.listens_for(engine, "connect")
    def fill_up(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine.dispose()
    app = create_app(own_workspace)

    @app.post("/write")
    def write() -> None:
        if of == "a file":
            no_space()
        with own_workspace.catalogue.writing() as writer:
            writer.add_product("M" * 100_000, {})

    client = serve_app(app)
    refused = client.post("/write")
    assert (refused.status_code, refused.headers["retry-after"]) == (507, "60")
    assert refused.json()["type"].endswith(":disk-full")
    assert "secret" not in refused.text
    assert str(own_workspace.folder) not in refused.text
    page = client.post("/write", headers=HTML)
    assert page.status_code == 507
    assert "no space left" in page.text
    photo = {"photos": ("a.jpg", draw("M22675"))}
    assert client.post("/api/v1/identify", files=photo).status_code == 200


def test_an_upload_that_finds_no_space_is_507(
    own_workspace: Workspace, serve_app: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda _: no_space())
    client = serve_app(create_app(own_workspace))
    refused = client.post("/api/v1/identify", files={"photos": ("a.jpg", bytes(3_000_000))})
    assert refused.status_code == 507
    assert refused.json()["type"].endswith(":disk-full")
