"""A database with accounts, a clock that tests set, and a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from satchel.market.accounts.entry import Entry
from satchel.market.accounts.outbox import Direct
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.records import Account
from satchel.market.accounts.store import AccountStore
from satchel.market.roles import Role
from support.clock import Clock
from support.databases import new_catalogue
from support.market import PASSWORD, Mailbox


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    catalogue = new_catalogue(tmp_path / "satchel.db")
    yield catalogue.engine
    catalogue.close()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def entry(engine: Engine, mailbox: Mailbox) -> Entry:
    return Entry(engine, Passwords(), post=Direct("https://shop.example", mailbox))


@pytest.fixture
def account_of(engine: Engine) -> Callable[..., Account]:
    """A function that makes an account with `PASSWORD`."""

    def make(email: str = "mina@example.com", role: Role = Role.SELLER) -> Account:
        hashed = Passwords().hash(PASSWORD)
        return AccountStore(engine).create(email, name="Mina", role=role, password_hash=hashed)

    return make
