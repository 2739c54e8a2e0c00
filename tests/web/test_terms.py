"""The terms: shown, accepted in a version, asked for again, recorded, exported."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError

from satchel.catalog.database import writing
from satchel.errors import WorkspaceError
from satchel.market.accounts.tables import AccountRow, ConsentRow
from satchel.market.roles import Role
from satchel.market.terms import MAX_BYTES, Terms, blocks
from satchel.market_settings import Market
from satchel.web.visitors import CSRF_HEADER
from satchel.workspace import Workspace
from support.market import PASSWORD, Mailbox, fill_in, logged_in, make_account, market_app

EMAIL = "mina@example.com"
PAGE = {"accept": "text/html"}
Serve = Callable[[FastAPI], AbstractContextManager[str]]


@pytest.fixture
def serve(own_workspace: Workspace, run_server: Serve) -> Callable[..., AbstractContextManager]:
    """A function that serves the workspace with other terms; there is one seller."""

    @contextmanager
    def with_terms(**settings: Any) -> Iterator[str]:
        with run_server(market_app(own_workspace, **settings)) as url:
            yield url

    return with_terms


def consents(workspace: Workspace) -> list[tuple[object, ...]]:
    columns = ConsentRow.about, ConsentRow.version, ConsentRow.given, ConsentRow.subject
    with workspace.catalogue.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(ConsentRow.id))]


def register(url: str, mailbox: Mailbox, version: str = "1") -> None:
    with httpx.Client(base_url=url, timeout=60) as visitor:
        form = {"email": EMAIL, "password": PASSWORD, "name": "Mina"}
        answer = fill_in(visitor, "/register", terms=version, **form)
        assert answer.status_code == 200, answer.text
        answer = visitor.post("/api/v1/account/confirm", json={"token": mailbox.token()})
        assert answer.status_code == 200


def test_terms_come_in_both_languages(own_workspace, run_server) -> None:
    with run_server(market_app(own_workspace)) as url, httpx.Client(base_url=url) as visitor:
        english = visitor.get("/terms", headers=PAGE).text
        korean = visitor.get("/terms?lang=ko", headers=PAGE).text
        assert "Counterfeits" in english
        assert "가품" in korean
        assert 'lang="ko"' in korean
        told = visitor.get("/api/v1/terms").json()
        assert (told["version"], told["language"]) == ("1", "ko")  # the cookie of ?lang=ko


def test_a_version_that_was_not_shown_is_not_accepted(serve, own_workspace) -> None:
    with serve(terms="2") as url, httpx.Client(base_url=url) as visitor:
        form = {"email": EMAIL, "password": PASSWORD, "name": "Mina"}
        for given in ({}, {"terms": "1"}, {"terms": "yes"}):
            answer = fill_in(visitor, "/register", **form, **given)
            assert answer.status_code == 422
    assert consents(own_workspace) == []


def test_new_terms_are_asked_for_before_anything_else(own_workspace, run_server) -> None:
    mailbox = Mailbox()
    with run_server(market_app(own_workspace, mailbox)) as url:
        register(url, mailbox)
        with logged_in(url, EMAIL) as mina:
            assert mina.get("/sell", headers=PAGE).status_code == 200
            body = {"name": "till", "scopes": ["listings:read"]}
            key = mina.post("/api/v1/account/keys", json=body).json()["key"]
    with (
        run_server(market_app(own_workspace, terms="2026-11")) as url,
        logged_in(url, EMAIL) as mina,
    ):
        refused = mina.post("/api/v1/listings")
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (
            403, "accept-terms",
        )  # fmt: skip
        assert mina.get("/account", headers=PAGE).status_code == 200  # to take one's data and go
        assert mina.get("/account/data").status_code == 200
        program = {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{url}/api/v1/listings", headers=program).status_code == 200
        led = mina.get("/sell?page=2", headers=PAGE)
        assert (led.status_code, led.headers["location"]) == (303, "/terms?next=%2Fsell%3Fpage%3D2")
        form = {"version": "2026-10", "next": "/sell?page=2"}
        assert fill_in(mina, led.headers["location"], **form).status_code == 422
        form["version"] = "2026-11"
        gone_on = fill_in(mina, led.headers["location"], **form)
        assert (gone_on.status_code, gone_on.headers["location"]) == (303, "/sell?page=2")
        assert mina.post("/api/v1/listings").status_code == 201
        archive = zipfile.ZipFile(BytesIO(mina.get("/api/v1/account/data").content))
        exported = json.loads(archive.read("data.json"))["consents"]
    assert [(row["about"], row["version"]) for row in exported] == [
        ("terms", "1"), ("terms", "2026-11"),
    ]  # fmt: skip
    assert exported[1]["at"].endswith("Z")


def test_programs_accept_by_the_api(serve, own_workspace) -> None:
    account = make_account(own_workspace, EMAIL)
    with writing(own_workspace.catalogue.engine) as connection, connection.begin():
        connection.execute(update(AccountRow).values(terms_version=""))  # as Kakao's newcomers are
    with serve(terms="3") as url, logged_in(url, account.email) as mina:
        assert mina.post("/api/v1/listings").status_code == 403
        assert mina.post("/api/v1/account/terms", json={"version": "2"}).status_code == 422
        assert mina.post("/api/v1/account/terms", json={"version": "3"}).status_code == 204
        assert mina.post("/api/v1/listings").status_code == 201
    assert consents(own_workspace) == [("terms", "3", True, "")]


def test_whom_an_admin_made_an_account_is_not_asked(serve, own_workspace) -> None:
    make_account(own_workspace, "expert@example.com", Role.EXPERT)
    with serve(terms="9") as url, logged_in(url, "expert@example.com") as expert:
        assert expert.get("/api/v1/desk/queue").status_code == 200


def test_consent_of_the_gallery_is_recorded_and_can_be_taken_back(serve, own_workspace) -> None:
    make_account(own_workspace, EMAIL)
    make_account(own_workspace, "other@example.com")
    with serve(consent="b") as url, logged_in(url, EMAIL) as mina:
        listing = mina.post("/api/v1/listings").json()["id"]
        path = f"/api/v1/listings/{listing}"
        for given in (True, True, False):
            answer = mina.patch(path, json={"consent_gallery": given})
            assert answer.status_code == 200
        assert mina.post(f"{path}/steps/withdraw").status_code == 200  # it cannot be edited now
        assert mina.patch(path, json={"consent_gallery": True}).status_code == 409
        assert mina.put(f"{path}/consent", json={"given": True}).json()["consent_gallery"]
        form = {"csrf": mina.headers[CSRF_HEADER]}
        assert mina.post(f"/listings/{listing}/consent", data=form).status_code == 303
        with logged_in(url, "other@example.com") as other:
            assert other.put(f"{path}/consent", json={"given": True}).status_code == 403
    subject = f"listing:{listing}"
    assert consents(own_workspace) == [
        ("gallery", "b", given, subject) for given in (True, False, True, False)
    ]


def test_what_was_agreed_to_cannot_be_changed(serve, own_workspace) -> None:
    mailbox = Mailbox()
    engine = own_workspace.catalogue.engine
    with serve() as url, httpx.Client(base_url=url) as visitor:
        body = {"email": EMAIL, "password": PASSWORD, "accept_terms": True}
        assert visitor.post("/api/v1/accounts", json=body).status_code == 202
    for statement in (update(ConsentRow).values(version="0"), delete(ConsentRow)):
        with (
            writing(engine) as connection,
            pytest.raises(DatabaseError, match="append-only"),
            connection.begin(),
        ):
            connection.execute(statement)
    assert consents(own_workspace) == [("terms", "1", True, "")]
    assert mailbox.empty()


def test_an_operator_s_own_text_replaces_ours(tmp_path) -> None:
    (tmp_path / "terms.txt").write_bytes(b"\xef\xbb\xbf# Ours\r\n\r\nBe <b>kind</b>.\r\n")
    settings = Market(terms_file="terms.txt")
    assert Terms.of(settings, tmp_path).text("ko") == ("# Ours\n\nBe <b>kind</b>.\n", "en")
    (tmp_path / "terms.ko.txt").write_text("# 약관", "utf-8")
    terms = Terms.of(settings, tmp_path)
    assert terms.text("ko") == ("# 약관", "ko")
    assert blocks(terms.text("en")[0]) == [(True, "Ours"), (False, "Be <b>kind</b>.")]


@pytest.mark.parametrize("data", [None, b"\xff\xfe", b"a" * (MAX_BYTES + 1)])
def test_a_text_that_cannot_be_read_is_named(tmp_path, data) -> None:
    if data is not None:
        (tmp_path / "terms.txt").write_bytes(data)
    with pytest.raises(WorkspaceError, match="terms_file"):
        Terms.of(Market(terms_file="terms.txt"), tmp_path)
