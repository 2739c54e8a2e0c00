"""Log-in by Kakao and Naver, against a local identity provider."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from satchel.market.accounts.entry import Registration
from satchel.market.accounts.store import AccountStore
from satchel.web.app import create_app
from satchel.web.visitors import COOKIE, CSRF_HEADER
from satchel.workspace import Workspace
from support.identity_provider import CLIENT_ID, SECRET, Person, Provider, running_provider
from support.market import PASSWORD, Mailbox, fill_in, logged_in, make_account, with_market

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATCHEL_KAKAO_SECRET", SECRET)
        patch.setenv("SATCHEL_NAVER_SECRET", SECRET)
        yield provider


@pytest.fixture(scope="module")
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture(scope="module")
def app(
    unopened_folder, tmp_path_factory: pytest.TempPathFactory, provider: Provider, mailbox: Mailbox
) -> Iterator[FastAPI]:
    folder = shutil.copytree(unopened_folder, tmp_path_factory.mktemp("providers") / "w")
    service = {"client_id": CLIENT_ID, "issuer": provider.url}
    workspace = with_market(
        Workspace.open(folder), kakao=service, naver={**service, "api": provider.url}
    )
    fetch = workspace.settings.fetch.model_copy(update={"http": True, "networks": ["127.0.0.1"]})
    settings = workspace.settings.model_copy(update={"fetch": fetch})
    workspace = Workspace(folder, settings)
    yield create_app(workspace, mailer=mailbox)
    workspace.catalogue.close()


@pytest.fixture(scope="module")
def url(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[str]:
    with run_server(app) as url:
        yield url


@pytest.fixture
def visitor(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def _honest(provider: Provider, mailbox: Mailbox, request: pytest.FixtureRequest) -> None:
    """Every test has a person of its own, and a provider that does not lie."""
    name = f"p{abs(hash(request.node.name))}"
    provider.person = Person(subject=name, email=f"{name}@example.com")
    provider.claims, provider.info, provider.forged = {}, {}, False
    mailbox.clear()


def way_there(client: httpx.Client, path: str) -> str:
    """The address of the provider to which a page leads."""
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def way_back(provider: Provider, address: str) -> str:
    """The path with which the provider sends the browser back."""
    parts = urlsplit(provider.agree(address))
    return f"{parts.path}?{parts.query}"


def log_in(client: httpx.Client, provider: Provider, name: str = "kakao") -> httpx.Response:
    there = way_there(client, f"/login/{name}?next=/products")
    return client.get(way_back(provider, there), headers=HTML)


def who(client: httpx.Client) -> str | None:
    answer = client.get("/api/v1/account")
    return answer.json().get("email")


def test_a_newcomer_whose_address_kakao_has_checked_is_let_in(visitor, provider):
    answer = log_in(visitor, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/products")
    assert who(visitor) == provider.person.email
    with httpx.Client(base_url=visitor.base_url) as again:
        provider.person.email = "moved@example.com"  # the subject counts, not the address
        log_in(again, provider)
        assert who(again) == who(visitor)


def test_a_newcomer_by_another_service_is_asked_for_the_terms(visitor, provider):
    log_in(visitor, provider)
    answer = visitor.get("/sell", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/terms?next=%2Fsell")


def test_a_checked_address_leads_to_the_account_that_has_it(visitor, provider, app, mailbox):
    workspace = app.state.server.workspace
    account = make_account(workspace, provider.person.email)
    log_in(visitor, provider)
    assert visitor.get("/api/v1/account").json()["id"] == account.id
    assert "/account" in mailbox.next().text  # its owner learns of it
    with logged_in(str(visitor.base_url), account.email):  # the password still counts
        pass


def test_an_intruder_s_registration_gains_nothing(visitor, provider, app):
    """Pre-hijacking: the password of an account that was never confirmed is dropped."""
    email = provider.person.email
    app.state.market.entry.register(Registration(email, PASSWORD, "", "en", "1"))
    log_in(visitor, provider)
    assert who(visitor) == email
    assert not AccountStore(app.state.market.engine).by_email(email).has_password
    answer = httpx.post(
        f"{visitor.base_url}/api/v1/session", json={"email": email, "password": PASSWORD}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("name", ["kakao", "naver"])
def test_an_unchecked_address_is_confirmed_by_its_mailbox_in_the_same_browser(
    visitor, provider, mailbox, name, app
):
    provider.person.verified = False
    account = make_account(app.state.server.workspace, provider.person.email)
    answer = log_in(visitor, provider, name)
    assert answer.status_code == 200
    assert who(visitor) is None
    token = mailbox.token()
    with httpx.Client(base_url=visitor.base_url) as victim:  # who clicks what others have begun
        refused = fill_in(victim, f"/link?token={token}", token=token)
        assert refused.status_code == 422
        assert who(victim) is None
    assert fill_in(visitor, f"/link?token={token}", token=token).status_code == 303
    assert who(visitor) == account.email
    again = fill_in(visitor, "/login", email=account.email, password=PASSWORD)
    assert again.status_code == 303
    assert fill_in(visitor, f"/link?token={token}", token=token).status_code == 422  # once


def test_people_connect_and_remove_a_service(url, provider, app):
    account = make_account(app.state.server.workspace, f"own-{provider.person.email}")
    with logged_in(url, account.email) as client:
        there = way_there(client, "/account/identities/naver")
        back = client.get(way_back(provider, there), headers=HTML)
        assert back.headers["location"] == "/account#identities"
        assert "Naver" in client.get("/account", headers=HTML).text
        with httpx.Client(base_url=url) as other:
            log_in(other, provider, "naver")
            assert who(other) == account.email
        csrf = {"provider": "naver", "csrf": client.headers[CSRF_HEADER]}
        assert client.post("/account/identities/remove", data=csrf).status_code == 303
    assert app.state.market.identities.of(account.id) == []


def test_an_identity_is_of_one_account(url, visitor, provider, app):
    log_in(visitor, provider)
    account = make_account(app.state.server.workspace, f"own-{provider.person.email}")
    with logged_in(url, account.email) as client:
        there = way_there(client, "/account/identities/kakao")
        assert client.get(way_back(provider, there), headers=HTML).status_code == 422
    assert app.state.market.identities.of(account.id) == []


def test_a_log_in_is_of_the_browser_in_which_it_began(visitor, provider, url):
    there = way_there(visitor, "/login/kakao")
    back = way_back(provider, there)
    with httpx.Client(base_url=url) as victim:  # log-in CSRF: an intruder's own code and state
        assert victim.get(back, headers=HTML).status_code == 422
        victim.get("/login", headers=HTML)
        assert victim.get(back, headers=HTML).status_code == 422
        assert who(victim) is None
    assert visitor.get(back, headers=HTML).status_code == 303
    assert visitor.get(back, headers=HTML).status_code == 422  # and counts once


def test_a_state_of_one_service_is_none_of_another(visitor, provider):
    back = way_back(provider, way_there(visitor, "/login/kakao"))
    assert visitor.get(back.replace("kakao", "naver"), headers=HTML).status_code == 422


def test_the_session_is_new(visitor, provider):
    visitor.get("/login", headers=HTML)
    planted = visitor.cookies[COOKIE]
    log_in(visitor, provider)
    assert visitor.cookies[COOKIE] != planted
    with httpx.Client(base_url=visitor.base_url, cookies={COOKIE: planted}) as thief:
        assert who(thief) is None


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "another"},
        {"aud": "another-client"},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 3600},
        {"sub": "somebody-else"},  # than userinfo says
    ],
)
def test_an_id_token_that_does_not_hold_lets_nobody_in(visitor, provider, lie):
    provider.claims = lie
    answer = log_in(visitor, provider)
    assert answer.status_code == 422
    assert who(visitor) is None


def test_an_id_token_of_another_key_lets_nobody_in(visitor, provider):
    provider.forged = True
    assert log_in(visitor, provider).status_code == 422
    assert who(visitor) is None


def test_without_an_address_nobody_gets_an_account(visitor, provider):
    provider.person.email = None
    answer = log_in(visitor, provider)
    assert answer.status_code == 422
    assert "e-mail address" in answer.text


def test_a_disabled_account_stays_out(visitor, provider, app):
    log_in(visitor, provider)
    app.state.market.accounts.disable(provider.person.email)
    assert who(visitor) is None
    with httpx.Client(base_url=visitor.base_url) as again:
        assert log_in(again, provider).status_code == 401
        assert who(again) is None


def test_who_cancels_learns_so_and_other_services_are_not_there(visitor, provider, app_with):
    there = way_there(visitor, "/login/kakao")
    back = way_back(provider, there).partition("?")
    state = back[2].partition("state=")[2]
    answer = visitor.get(f"{back[0]}?error=access_denied&state={state}", headers=HTML)
    assert answer.status_code == 422
    assert visitor.get("/login/google", headers=HTML).status_code == 422
