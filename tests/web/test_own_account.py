"""What people change of their own account, and how their devices are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI

from satchel.market.accounts.entry import Registration
from satchel.web.market.devices import device
from satchel.workspace import Workspace
from support.market import PASSWORD, TOKEN, Mailbox, fill_in, logged_in, make_account, market_app

OLD, NEW, OTHER = "old@example.com", "new@example.com", "other@example.com"
PAGE = {"accept": "text/html"}


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def app(own_workspace: Workspace, mailbox: Mailbox) -> FastAPI:
    make_account(own_workspace, OLD)
    return market_app(own_workspace, mailbox)


@pytest.fixture
def url(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[str]:
    with run_server(app) as url:
        yield url


@pytest.fixture
def mina(url: str) -> Iterator[httpx.Client]:
    with logged_in(url, OLD) as client:
        yield client


def asked(client: httpx.Client, mailbox: Mailbox, email: str = NEW) -> str:
    """Ask for another address; return the secret that it is sent, after the notice was checked."""
    assert client.post("/api/v1/account/email", json={"email": email}).status_code == 202
    letters = {letter.to: letter for letter in (mailbox.next(), mailbox.next())}
    notice = letters[OLD]
    assert email in notice.text
    assert TOKEN.search(notice.text) is None
    found = TOKEN.search(letters[email].text)
    assert found
    return found[1]


def test_a_name_is_changed_on_the_page_and_by_the_api(mina: httpx.Client) -> None:
    form = {"csrf": mina.headers["x-csrf-token"], "name": " Mina\n Kim "}
    assert mina.post("/account/name", data=form).status_code == 303
    assert mina.get("/api/v1/account").json()["name"] == "Mina Kim"
    assert "Mina Kim" in mina.get("/account", headers=PAGE).text
    assert mina.patch("/api/v1/account", json={"name": "민아"}).json()["name"] == "민아"


def test_a_new_address_counts_once_its_mailbox_confirms(
    mina: httpx.Client, url: str, mailbox: Mailbox
) -> None:
    token = asked(mina, mailbox)
    with logged_in(url, OLD):  # the old one counts until then
        pass
    with httpx.Client(base_url=url, timeout=60) as mailbox_reader:
        page = fill_in(mailbox_reader, f"/email?token={token}", token=token)
        assert page.status_code == 200
        assert NEW in page.text
        again = mailbox_reader.post("/api/v1/account/email/confirm", json={"token": token})
        assert (again.status_code, again.json()["reason"]) == (422, "token")
        old = {"email": OLD, "password": PASSWORD}
        assert mailbox_reader.post("/api/v1/session", json=old).status_code == 401
    assert mina.get("/api/v1/account").json()["email"] == NEW  # the session stays
    with logged_in(url, NEW):
        pass


def test_a_later_request_and_a_new_password_stop_an_earlier_one(
    mina: httpx.Client, mailbox: Mailbox
) -> None:
    first = asked(mina, mailbox)
    second = asked(mina, mailbox, "newer@example.com")
    change = {"old": PASSWORD, "new": "nine swans over water"}
    assert mina.post("/api/v1/account/password", json=change).status_code == 204
    for token in (first, second):
        answer = mina.post("/api/v1/account/email/confirm", json={"token": token})
        assert answer.status_code == 422
    assert mina.get("/api/v1/account").json()["email"] == OLD


def test_who_asks_for_another_person_s_address_does_not_learn_of_them(
    mina: httpx.Client, mailbox: Mailbox, own_workspace: Workspace
) -> None:
    make_account(own_workspace, OTHER)
    taken = mina.post("/api/v1/account/email", json={"email": OTHER})
    letters = {letter.to: letter for letter in (mailbox.next(), mailbox.next())}
    assert "already" in letters[OTHER].subject
    assert TOKEN.search(letters[OTHER].text) is None
    free = mina.post("/api/v1/account/email", json={"email": NEW})
    assert (taken.status_code, taken.json()) == (free.status_code, free.json())


def test_an_unconfirmed_registration_does_not_hold_an_address(
    mina: httpx.Client, mailbox: Mailbox, app: FastAPI, url: str
) -> None:
    app.state.market.entry.register(Registration(NEW, PASSWORD, "", "en", "1"))
    mailbox.next()
    token = asked(mina, mailbox)
    assert mina.post("/api/v1/account/email/confirm", json={"token": token}).status_code == 200
    assert mina.get("/api/v1/account").json()["email"] == NEW


def test_an_address_that_got_an_account_meanwhile_stays_its_own(
    mina: httpx.Client, mailbox: Mailbox, own_workspace: Workspace
) -> None:
    token = asked(mina, mailbox)
    make_account(own_workspace, NEW)
    answer = mina.post("/api/v1/account/email/confirm", json={"token": token})
    assert (answer.status_code, answer.json()["reason"]) == (422, "taken")
    assert mina.get("/api/v1/account").json()["email"] == OLD


@pytest.mark.parametrize(("email", "reason"), [(OLD.upper(), "same"), ("nothing", "email")])
def test_what_is_no_new_address_is_refused(mina: httpx.Client, email: str, reason: str) -> None:
    answer = mina.post("/api/v1/account/email", json={"email": email})
    assert (answer.status_code, answer.json()["reason"]) == (422, reason)


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            ("Edge", "Windows"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
            "like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            ("Safari", "iPhone"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S928N) AppleWebKit/537.36 (KHTML, like Gecko) "
            "SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
            ("Samsung Internet", "Android"),
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0",
            ("Firefox", "Mac"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S928N Build/UP1A) AppleWebKit/537.36 (KHTML, like "
            "Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 KAKAOTALK 2410910",
            ("KakaoTalk", "Android"),
        ),
        ("curl/8.10.1", ("curl", "")),
        ("<script>", ("", "")),
        ("", ("", "")),
    ],
)
def test_devices_have_names_that_people_know(agent: str, named: tuple[str, str]) -> None:
    assert device(agent) == named


def test_the_page_names_devices(url: str) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"
    with httpx.Client(base_url=url, headers={"user-agent": agent}, timeout=60) as client:
        fill_in(client, "/login", email=OLD, password=PASSWORD)
        assert "Chrome on Linux" in client.get("/account", headers=PAGE).text
