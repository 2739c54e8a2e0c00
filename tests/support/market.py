"""People of the resale service: accounts, their browsers and their mailboxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import httpx
from fastapi import FastAPI

from satchel.market.accounts.letters import Letter
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.records import Account
from satchel.market.accounts.store import AccountStore
from satchel.market.roles import Role
from satchel.market_settings import Market
from satchel.web.app import create_app
from satchel.web.visitors import CSRF_HEADER
from satchel.workspace import Workspace

PASSWORD = "fine rain on seven roofs"
FIELD = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
TOKEN = re.compile(r"token=([A-Za-z0-9_-]{43})")


class Mailbox:
    """Takes e-mails in place of a mail server."""

    def __init__(self) -> None:
        self._letters: SimpleQueue[Letter] = SimpleQueue()

    def __call__(self, letter: Letter) -> None:
        self._letters.put(letter)

    def next(self) -> Letter:
        """The next e-mail, waited for."""
        return self._letters.get(timeout=10)

    def now(self) -> Letter | None:
        """The next e-mail if it comes soon."""
        try:
            return self._letters.get(timeout=0.2)
        except Empty:
            return None

    def clear(self) -> None:
        while not self._letters.empty():
            self._letters.get()

    def empty(self) -> bool:
        return self._letters.empty()

    def token(self) -> str:
        """The secret of the link in the next e-mail."""
        found = TOKEN.search(self.next().text)
        assert found
        return found[1]


def with_market(workspace: Workspace, **settings: object) -> Workspace:
    """The same workspace with accounts; `settings` are of `[market]`."""
    market = Market.model_validate({"enabled": True, **settings})
    changed = workspace.settings.model_copy(update={"market": market})
    return Workspace(workspace.folder, changed)


def market_app(workspace: Workspace, mailbox: Mailbox | None = None, **settings: object) -> FastAPI:
    """The application of a workspace with accounts."""
    return create_app(with_market(workspace, **settings), mailer=mailbox or Mailbox())


def make_account(
    workspace: Workspace, email: str, role: Role = Role.SELLER, *, password: str = PASSWORD
) -> Account:
    """Make an account that can log in."""
    store = AccountStore(workspace.catalogue.engine)
    hashed = Passwords().hash(password)
    name = email.partition("@")[0].title()
    return store.create(email, name=name, role=role, password_hash=hashed)


@contextmanager
def logged_in(url: str, email: str, *, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """A program with the session of an account: it keeps cookies and sends the token."""
    with httpx.Client(base_url=url, timeout=60) as client:
        answer = client.post("/api/v1/session", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        client.headers[CSRF_HEADER] = answer.json()["csrf_token"]
        yield client


def fill_in(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Open the page of a form and send it, as a browser does."""
    page = client.get(path)
    found = FIELD.search(page.text)
    assert found, page.text
    target = path.partition("?")[0]
    return client.post(target, data={"csrf": found[1], **fields}, headers={"accept": "text/html"})
