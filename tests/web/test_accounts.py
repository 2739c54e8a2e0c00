"""Registration, log-in, sessions and keys over HTTP, with a real server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count

import httpx
import pytest
from fastapi import FastAPI

from satchel.market.roles import Role
from satchel.web.visitors import COOKIE, CSRF_HEADER, SECURE_COOKIE
from satchel.workspace import Workspace
from support.market import FIELD, PASSWORD, Mailbox, fill_in, logged_in, make_account, market_app

HTTPS = {"x-forwarded-proto": "https"}
NUMBERS = count()


@pytest.fixture(scope="module")
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture(scope="module")
def market(
    unopened_folder,
    tmp_path_factory: pytest.TempPathFactory,
    mailbox: Mailbox,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[tuple[str, Workspace]]:
    folder = shutil.copytree(unopened_folder, tmp_path_factory.mktemp("market") / "w")
    workspace = Workspace.open(folder)
    with run_server(market_app(workspace, mailbox)) as url:
        yield url, workspace
    workspace.catalogue.close()


@pytest.fixture
def url(market) -> str:
    return market[0]


@pytest.fixture
def people(market) -> Callable[..., str]:
    """A function that makes an account and gives its e-mail address."""

    def make(role: Role = Role.SELLER) -> str:
        email = f"person-{next(NUMBERS)}@example.com"
        make_account(market[1], email, role)
        return email

    return make


@pytest.fixture(autouse=True)
def _no_old_letters(mailbox) -> None:
    mailbox.clear()


@pytest.fixture
def visitor(url) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture
def app_at_once(own_workspace, app_settings, run_server) -> Iterator[str]:
    """The URL of a server that takes nobody for a proxy, so that addresses count."""
    with run_server(app_settings(own_workspace)) as url:
        yield url


@pytest.fixture
def app_settings() -> Callable[[Workspace], FastAPI]:
    def make(workspace: Workspace) -> FastAPI:
        serve = workspace.settings.serve.model_copy(update={"proxies": ["192.0.2.1"]})
        settings = workspace.settings.model_copy(update={"serve": serve})
        return market_app(Workspace(workspace.folder, settings))

    return make


def test_a_person_registers_confirms_and_logs_in(visitor, mailbox):
    form = {"email": "Mina@Example.com ", "password": PASSWORD, "name": "Mina", "terms": "1"}
    assert fill_in(visitor, "/register", **form).status_code == 200
    assert (
        fill_in(visitor, "/login", email="mina@example.com", password=PASSWORD).status_code == 401
    )
    token = mailbox.token()
    assert fill_in(visitor, f"/confirm?token={token}", token=token).status_code == 200
    answer = fill_in(visitor, "/login", email="MINA@example.com", password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert "Mina" in visitor.get("/account").text
    assert fill_in(visitor, "/account", password="x").status_code == 405  # the page takes no form


def test_who_registers_twice_gets_the_same_answer_and_another_e_mail(visitor, mailbox, people):
    known = people()
    form = {"password": PASSWORD, "name": "", "terms": "1"}
    first = fill_in(visitor, "/register", email="new-one@example.com", **form)
    assert "confirm" in mailbox.next().subject.lower()
    second = fill_in(visitor, "/register", email=known, **form)
    assert "already" in mailbox.next().subject
    assert first.status_code == second.status_code
    assert first.text.replace("new-one@example.com", known) == second.text


def test_e_mails_are_in_the_language_of_the_page(visitor, mailbox):
    visitor.cookies.set("satchel_language", "ko")
    form = {"email": "ko@example.com", "password": PASSWORD, "name": "미나", "terms": "1"}
    fill_in(visitor, "/register", **form)
    letter = mailbox.next()
    assert "이메일" in letter.subject
    assert "미나" in letter.text


@pytest.mark.parametrize("path", ["/login", "/register", "/forgotten"])
def test_forms_need_the_token_of_their_browser(url, visitor, path):
    with httpx.Client(base_url=url) as other:
        token = FIELD.search(other.get(path).text)
        assert token
        for data in ({}, {"csrf": "0" * 64}, {"csrf": token[1]}):  # also another browser's
            fields = {"email": "a@example.com", "password": PASSWORD, **data}
            answer = visitor.post(path, data=fields)
            assert answer.status_code == 403
            assert answer.json()["type"].endswith(":stale-form")


def test_a_session_changes_nothing_without_its_token(url, people):
    with logged_in(url, people()) as client:
        token = client.headers.pop(CSRF_HEADER)
        body = {"name": "till", "scopes": ["listings:read"]}
        assert client.post("/api/v1/account/keys", json=body).status_code == 403
        assert client.delete("/api/v1/session").status_code == 403
        own = {CSRF_HEADER: token}
        other = {**own, "sec-fetch-site": "cross-site"}
        assert client.post("/api/v1/account/keys", json=body, headers=other).status_code == 403
        assert client.post("/api/v1/account/keys", json=body, headers=own).status_code == 201


def test_log_in_makes_a_new_secret_and_log_out_ends_it(url, people, visitor):
    email = people()
    visitor.get("/login")
    planted = visitor.cookies[COOKIE]
    fill_in(visitor, "/login", email=email, password=PASSWORD)
    secret = visitor.cookies[COOKIE]
    assert secret != planted
    with httpx.Client(base_url=url, cookies={COOKIE: planted}) as thief:  # fixation
        assert thief.get("/api/v1/account").status_code == 401
    with httpx.Client(base_url=url, cookies={COOKIE: secret}) as thief:
        assert thief.get("/api/v1/account").status_code == 200
        page = visitor.get("/account")
        token = FIELD.search(page.text)
        assert token
        assert visitor.post("/logout", data={"csrf": token[1]}).status_code == 303
        assert thief.get("/api/v1/account").status_code == 401  # theft after log-out
    assert COOKIE not in visitor.cookies


def test_cookies_have_every_protection(url, people):
    body = {"email": people(), "password": PASSWORD}
    plain = httpx.post(f"{url}/api/v1/session", json=body).headers["set-cookie"]
    secure = httpx.post(f"{url}/api/v1/session", json=body, headers=HTTPS).headers["set-cookie"]
    assert plain.startswith(f"{COOKIE}=")
    assert secure.startswith(f"{SECURE_COOKIE}=")
    for cookie in (plain, secure):
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
    assert secure.count("Secure") == 1
    assert "Secure" not in plain


def test_a_changed_password_ends_other_sessions(url, people):
    email = people()
    with logged_in(url, email) as here, logged_in(url, email) as elsewhere:
        change = {"old": "wrong", "new": "nine swans over water"}
        assert here.post("/api/v1/account/password", json=change).status_code == 401
        assert elsewhere.get("/api/v1/account").status_code == 200
        change["old"] = PASSWORD
        assert here.post("/api/v1/account/password", json=change).status_code == 204
        assert here.get("/api/v1/account").status_code == 200
        assert elsewhere.get("/api/v1/account").status_code == 401
    with logged_in(url, email, password="nine swans over water"):
        pass


def test_a_forgotten_password_is_chosen_anew_once(url, people, visitor, mailbox):
    email = people()
    known = fill_in(visitor, "/forgotten", email=email)
    unknown = fill_in(visitor, "/forgotten", email="nobody@example.com")
    assert known.text.replace(email, "nobody@example.com") == unknown.text
    token = mailbox.token()
    assert mailbox.empty()
    with logged_in(url, email) as thief:
        new = {"token": token, "password": "nine swans over water"}
        assert fill_in(visitor, f"/reset?token={token}", **new).status_code == 200
        assert thief.get("/api/v1/account").status_code == 401
    assert "changed" in mailbox.next().subject
    again = visitor.post("/api/v1/account/reset", json=new)
    assert again.status_code == 422
    assert again.json()["reason"] == "token"
    with logged_in(url, email, password="nine swans over water"):
        pass


def test_people_see_and_end_their_sessions_alone(url, people):
    first, second = people(), people()
    with (
        logged_in(url, first) as here,
        logged_in(url, first) as there,
        logged_in(url, second) as other,
    ):
        listed = here.get("/api/v1/account/sessions").json()["sessions"]
        assert len(listed) == 2
        (elsewhere,) = [one["id"] for one in listed if not one["current"]]
        assert other.delete(f"/api/v1/account/sessions/{elsewhere}").status_code == 404
        assert there.get("/api/v1/account").status_code == 200
        assert here.delete(f"/api/v1/account/sessions/{elsewhere}").status_code == 204
        assert there.get("/api/v1/account").status_code == 401


def test_a_key_may_do_what_its_scopes_say(url, people):
    with logged_in(url, people()) as client, httpx.Client(base_url=url) as program:
        too_much = {"name": "x", "scopes": ["catalogue:write"]}
        assert client.post("/api/v1/account/keys", json=too_much).status_code == 422
        body = {"name": "till", "scopes": ["account:read"]}
        made = client.post("/api/v1/account/keys", json=body).json()
        program.headers["authorization"] = f"Bearer {made['key']}"
        assert program.get("/api/v1/account").status_code == 200
        assert program.get("/api/v1/session").status_code == 403  # for people
        assert client.get("/api/v1/account/keys").json()["keys"][0]["last_used_at"]
        key = made["record"]["id"]
        assert program.delete(f"/api/v1/account/keys/{key}").status_code == 403
        assert client.delete(f"/api/v1/account/keys/{key}").status_code == 204
        assert program.get("/api/v1/account").status_code == 401
        assert program.get("/api/v1/products").status_code == 401  # a bad key is never ignored


def test_who_tries_too_often_has_to_wait(visitor, people):
    body = {"email": people(), "password": "wrong wrong wrong"}
    answers = [visitor.post("/api/v1/session", json=body) for _ in range(30)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert 1 <= int(refused[0].headers["retry-after"]) <= 15 * 60
    other = {"email": people(), "password": PASSWORD}
    assert visitor.post("/api/v1/session", json=other).status_code == 200  # others are let in


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nX: y"]
)
def test_a_log_in_never_leads_to_another_site(visitor, people, target):
    answer = fill_in(visitor, "/login", email=people(), password=PASSWORD, next=target)
    assert answer.headers["location"] == "/account"


def test_a_page_leads_to_the_log_in_and_back(visitor, people):
    answer = visitor.get("/catalogue/edits", headers={"accept": "text/html"})
    assert answer.status_code == 303
    back = answer.headers["location"]
    assert back == "/login?next=%2Fcatalogue%2Fedits"
    form = {"email": people(Role.EXPERT), "password": PASSWORD, "next": "/catalogue/edits"}
    assert fill_in(visitor, back, **form).headers["location"] == "/catalogue/edits"
    assert visitor.get("/catalogue/edits", headers={"accept": "text/html"}).status_code == 200


def test_without_the_service_there_is_nothing_of_it(client):
    for path in ("/login", "/register", "/account", "/api/v1/session", "/api/v1/account"):
        assert client.get(path).status_code == 404
    page = client.get("/", headers={"accept": "text/html"})
    assert "/login" not in page.text
    assert "csrf" not in page.text
    assert COOKIE not in page.headers.get("set-cookie", "")
    assert client.get("/catalogue/edits").status_code == 200


def test_an_admin_gives_roles_and_everybody_sees_them_at_once(url, people):
    email = people()
    with logged_in(url, people(Role.ADMIN)) as admin, logged_in(url, email) as mina:
        token = admin.headers[CSRF_HEADER]
        assert mina.get("/api/v1/edits").status_code == 403
        form = {"csrf": token, "email": email, "choice": "expert"}
        assert admin.post("/admin/accounts", data=form).status_code == 303
        assert mina.get("/api/v1/edits").status_code == 200
        (known,) = admin.get("/api/v1/admin/accounts", params={"query": email}).json()["accounts"]
        assert known["role"] == "expert"
        path = f"/api/v1/admin/accounts/{known['id']}"
        assert admin.patch(path, json={"disabled": True}).json()["disabled"]
        assert mina.get("/api/v1/account").status_code == 401
        assert admin.patch("/api/v1/admin/accounts/999999", json={}).status_code == 422
        entries = admin.get("/api/v1/admin/audit", params={"action": "account."}).json()["entries"]
        done = [one["action"] for one in entries if one["subject"] == f"account:{known['id']}"]
        assert done == ["account.disable", "account.role", "account.create"]
        html = {"accept": "text/html"}
        assert email in admin.get(f"/admin/accounts?query={email}", headers=html).text
        assert "account.disable" in admin.get("/admin/audit", headers=html).text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/accounts", {"email": "x@example.com", "password": "short", "accept_terms": True}),
        ("/api/v1/account/forgotten", {"email": "nobody@example.com"}),
    ],
)
def test_registrations_and_new_passwords_are_limited_by_address(
    app_at_once: str, path: str, body: dict[str, object]
) -> None:
    answers = [httpx.post(app_at_once + path, json=body) for _ in range(25)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 5
    assert 1 <= int(refused[0].headers["retry-after"]) <= 3600


def test_one_address_gets_few_e_mails(visitor, mailbox, people) -> None:
    email = people()
    for _ in range(8):
        answer = visitor.post("/api/v1/account/forgotten", json={"email": email})
        assert answer.status_code == 202  # no answer says so
    visitor.post("/api/v1/account/forgotten", json={"email": "last@example.com"})
    assert sum(1 for _ in iter(mailbox.now, None)) == 5


def test_requests_of_one_key_are_limited(own_workspace, run_server) -> None:
    make_account(own_workspace, "mina@example.com")
    with run_server(market_app(own_workspace, requests_per_minute=5)) as url:
        with logged_in(url, "mina@example.com") as client:
            body = {"name": "till", "scopes": ["account:read"]}
            key = client.post("/api/v1/account/keys", json=body).json()["key"]
        bearer = {"authorization": f"Bearer {key}"}
        answers = [httpx.get(f"{url}/api/v1/account", headers=bearer) for _ in range(12)]
        assert {answer.status_code for answer in answers} == {200, 429}
        with logged_in(url, "mina@example.com") as client:  # each has a count of its own
            assert client.get("/api/v1/account").status_code == 200


def test_decisions_are_signed_by_who_is_logged_in(url, people):
    """Not by the name that a form or a program says."""
    email = people(Role.EXPERT)
    with logged_in(url, email) as client:
        account = client.get("/api/v1/account").json()
        signature = f"{account['name']} #{account['id']}"
        body = {"code": "Z-9", "values": {"colour": "mint"}, "by": "somebody else"}
        assert client.post("/api/v1/edits/columns", json=body).json()["decided_by"] == signature
        form = {"csrf": client.headers[CSRF_HEADER], "code": "Z-9", "who": "somebody else"}
        form |= {"column": "colour", "value": "sage"}
        assert client.post("/catalogue/edit", data=form).status_code == 303
        (last, *_) = client.get("/api/v1/edits").json()["edits"]
        assert last["decided_by"] == signature
        page = client.get("/catalogue/edit?code=Z-9", headers={"accept": "text/html"}).text
        assert 'name="who" maxlength' not in page
