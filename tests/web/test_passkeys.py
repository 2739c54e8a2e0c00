"""Passkeys over HTTP with a software authenticator, and in a real browser."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from selenium.webdriver import Chrome

from satchel.market.roles import Role
from satchel.web.visitors import COOKIE, CSRF_HEADER
from satchel.workspace import Workspace
from support.authenticator import Authenticator
from support.browser import BROWSER_MARKS, Reader
from support.market import PASSWORD, Mailbox, logged_in, make_account, market_app

ORIGIN, HOST = "https://shop.example", "shop.example"
NUMBERS = count()


@pytest.fixture(scope="module")
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture(scope="module")
def app(
    unopened_folder, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FastAPI]:
    folder = shutil.copytree(unopened_folder, tmp_path_factory.mktemp("passkeys") / "w")
    workspace = Workspace.open(folder)
    yield market_app(workspace, mailbox, url=ORIGIN)
    workspace.catalogue.close()


@pytest.fixture(scope="module")
def url(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[str]:
    with run_server(app) as url:
        yield url


@pytest.fixture
def email(app: FastAPI) -> str:
    email = f"person-{next(NUMBERS)}@example.com"
    make_account(app.state.server.workspace, email)
    return email


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(ORIGIN, HOST)


@pytest.fixture
def visitor(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture
def owner(url: str, email: str) -> Iterator[httpx.Client]:
    with logged_in(url, email) as client:
        carry_secure_cookies(client)
        yield client


def carry_secure_cookies(client: httpx.Client) -> None:
    """The server is at https by its settings: its cookies are Secure, and httpx keeps them back."""
    client.event_hooks["request"] = [
        lambda request: request.headers.update(
            {"cookie": "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)}
        )
    ]


def register(client: httpx.Client, device: Authenticator, **changed: Any) -> httpx.Response:
    asked = client.post("/api/v1/passkeys/options").json()
    credential = device.create(asked["options"])
    body = {"token": asked["token"], "name": "Phone", "credential": credential, **changed}
    return client.post("/api/v1/passkeys", json=body)


def log_in(client: httpx.Client, device: Authenticator, **changed: Any) -> httpx.Response:
    asked = client.post("/api/v1/session/passkey/options").json()
    body = {"token": asked["token"], "credential": device.get(asked["options"]), **changed}
    return client.post("/api/v1/session/passkey", json=body)


@pytest.fixture(autouse=True)
def _secure(visitor: httpx.Client) -> None:
    carry_secure_cookies(visitor)


def test_a_passkey_lets_its_owner_in(owner, visitor, device, email, mailbox):
    mailbox.clear()
    assert register(owner, device).status_code == 201
    assert "/account" in mailbox.next().text  # the owner learns of it
    answer = log_in(visitor, device)
    assert answer.status_code == 200, answer.text
    assert answer.json()["account"]["email"] == email
    visitor.headers[CSRF_HEADER] = answer.json()["csrf_token"]
    (listed,) = visitor.get("/api/v1/passkeys").json()["passkeys"]
    assert listed["name"] == "Phone"
    assert listed["last_used_at"]


def test_a_removed_passkey_lets_nobody_in(owner, visitor, device):
    key = register(owner, device).json()["id"]
    assert owner.delete(f"/api/v1/passkeys/{key}").status_code == 204
    assert owner.delete(f"/api/v1/passkeys/{key}").status_code == 404
    assert log_in(visitor, device).status_code == 401


def test_people_remove_their_own_passkeys_alone(owner, url, device, app):
    key = register(owner, device).json()["id"]
    make_account(app.state.server.workspace, "other-owner@example.com")
    with logged_in(url, "other-owner@example.com") as other:
        carry_secure_cookies(other)
        assert other.delete(f"/api/v1/passkeys/{key}").status_code == 404
    assert len(owner.get("/api/v1/passkeys").json()["passkeys"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://evil.example"},
        {"host": "evil.example"},
        {"verifies": False},
    ],
)
def test_what_a_device_signs_for_others_does_not_count(owner, visitor, device, change):
    """Phishing, and devices that do not ask who holds them."""
    other = Authenticator(**{"origin": ORIGIN, "host": HOST, **change})
    assert register(owner, other).status_code == 422
    register(owner, device)
    for name, value in change.items():
        setattr(device, name, value)
    assert log_in(visitor, device).status_code == 401


def test_a_challenge_is_of_one_browser_and_counts_once(owner, visitor, device, url):
    register(owner, device)
    asked = visitor.post("/api/v1/session/passkey/options").json()
    body = {"token": asked["token"], "credential": device.get(asked["options"])}
    with httpx.Client(base_url=url) as thief:
        assert thief.post("/api/v1/session/passkey", json=body).status_code == 422
    assert visitor.post("/api/v1/session/passkey", json=body).status_code == 200
    with httpx.Client(base_url=url) as again:
        carry_secure_cookies(again)
        again.post("/api/v1/session/passkey/options")
        assert again.post("/api/v1/session/passkey", json=body).status_code == 422


def test_a_copied_device_is_noticed(owner, visitor, device, url):
    register(owner, device)
    log_in(visitor, device)
    device.count = 0  # the copy has counted less
    with httpx.Client(base_url=url) as thief:
        carry_secure_cookies(thief)
        assert log_in(thief, device).status_code == 401


def test_another_key_is_nobody_s(owner, visitor, device):
    register(owner, device)
    stranger = Authenticator(ORIGIN, HOST, id=device.id)
    assert log_in(visitor, stranger).status_code == 401


@pytest.mark.parametrize(
    "credential", [{}, {"id": "x"}, {"rawId": "é"}, {"rawId": "AAAA", "response": []}, {"rawId": 7}]
)
def test_nonsense_is_refused(owner, visitor, credential):
    assert register(owner, Authenticator(ORIGIN, HOST), credential=credential).status_code == 422
    assert log_in(visitor, Authenticator(ORIGIN, HOST), credential=credential).status_code == 401


def test_a_disabled_account_stays_out(owner, visitor, device, app, email):
    register(owner, device)
    app.state.market.accounts.disable(email)
    assert log_in(visitor, device).status_code == 401


@pytest.mark.browser
@pytest.mark.skipif(BROWSER_MARKS[1].args[0], reason=BROWSER_MARKS[1].kwargs["reason"])
def test_in_a_browser_with_a_virtual_authenticator(
    own_workspace: Workspace, chrome: Chrome, run_server
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = f"http://localhost:{port}"
    make_account(own_workspace, "mina@example.com", Role.SELLER)
    reader = Reader(chrome, site)
    device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    device |= {"hasUserVerification": True, "isUserVerified": True}
    chrome.execute_cdp_cmd("WebAuthn.enable", {})
    added = chrome.execute_cdp_cmd("WebAuthn.addVirtualAuthenticator", {"options": device})
    try:
        with run_server(market_app(own_workspace, url=site), port):
            reader.go("/login?next=/account")
            reader.one("input[name=email]").send_keys("mina@example.com")
            reader.one("input[name=password]").send_keys(PASSWORD)
            reader.one(".door .primary").click()
            reader.one("#passkeys input[name=name]").send_keys("Laptop")
            reader.one("[data-passkeys] button").click()
            reader.until(lambda: "Laptop" in reader.texts("#passkeys strong"))
            chrome.delete_cookie(COOKIE)
            reader.go("/login?next=/products")
            reader.one("[data-passkeys] button").click()
            reader.until(lambda: chrome.current_url == f"{site}/products")
            assert "Mina" in reader.one(".own-link").text
            assert reader.complaints() == []
    finally:
        chrome.execute_cdp_cmd("WebAuthn.removeVirtualAuthenticator", added)
        chrome.execute_cdp_cmd("WebAuthn.disable", {})
