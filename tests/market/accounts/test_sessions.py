"""Sessions against a naive model: a list of who logged in when, and what has happened since."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from sqlalchemy import Engine, text

from satchel.catalog.dialect import database_files
from satchel.market.accounts.entry import Entry
from satchel.market.accounts.outbox import Direct
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.secret import PATTERN, new_secret
from satchel.market.accounts.sessions import MAX_SESSIONS, Lifetimes, SessionStore
from satchel.market.accounts.store import AccountStore
from satchel.market.roles import Role
from support.clock import Clock
from support.databases import new_catalogue
from support.market import Mailbox

IDLE, ABSOLUTE = timedelta(hours=2), timedelta(hours=7)
EMAILS = ("mina@example.com", "juno@example.com")


@dataclass
class Known:
    """A session as the model knows it."""

    token: str
    email: str
    began: datetime
    used: datetime
    ended: bool = False

    def stands(self, time: datetime, disabled: set[str]) -> bool:
        return (
            not self.ended
            and self.email not in disabled
            and time - self.used < IDLE
            and time - self.began < ABSOLUTE
        )


class Sessions(RuleBasedStateMachine):
    """People log in, come back, steal, log out, change passwords; time goes by."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.catalogue = new_catalogue(Path(self.folder.name) / "satchel.db")
        engine = self.catalogue.engine
        self.clock = Clock()
        self.store = SessionStore(engine, Lifetimes(IDLE, ABSOLUTE), self.clock)
        self.accounts = AccountStore(engine)
        post = Direct("https://shop.example", Mailbox())
        self.entry = Entry(engine, Passwords(), post=post, clock=self.clock)
        self.passwords = dict.fromkeys(EMAILS, "fine rain on seven roofs 0")
        hashed = Passwords().hash("fine rain on seven roofs 0")
        self.ids = {
            email: self.accounts.create(email, name="", role=Role.SELLER, password_hash=hashed).id
            for email in EMAILS
        }
        self.accounts.create("admin@example.com", name="", role=Role.ADMIN, password_hash=None)
        self.known: list[Known] = []
        self.disabled: set[str] = set()

    def teardown(self) -> None:
        self.catalogue.close()
        self.folder.cleanup()

    @rule(target=tokens, email=st.sampled_from(EMAILS), planted=st.booleans())
    def log_in(self, email: str, planted: bool) -> str:
        """Also with a secret that somebody has planted, which never becomes a session's."""
        before = new_secret() if planted else None
        token = self.store.begin(self.ids[email], way="password", replaced=before)
        assert token != before
        assert all(token != one.token for one in self.known)
        time = self.clock.time
        self.known.append(Known(token, email, time, time))
        return token

    @rule(target=tokens, token=tokens, email=st.sampled_from(EMAILS))
    def log_in_again(self, token: str, email: str) -> str:
        fresh = self.store.begin(self.ids[email], way="password", replaced=token)
        self.find(token).ended = True
        time = self.clock.time
        self.known.append(Known(fresh, email, time, time))
        return fresh

    @rule(token=tokens)
    def come_back(self, token: str) -> None:
        one, time = self.find(token), self.clock.time
        found = self.store.find(token)
        assert (found is not None) == one.stands(time, self.disabled)
        if found is not None:
            assert found[1].email == one.email
            if time - one.used >= timedelta(minutes=1):
                one.used = time

    @rule(token=tokens, email=st.sampled_from(EMAILS))
    def end(self, token: str, email: str) -> None:
        """Also somebody else's, which does nothing."""
        one = self.find(token)
        session = self.number_of(token)
        ended = self.store.end(self.ids[email], session)
        assert ended == (one.email == email and not one.ended)
        one.ended = one.ended or ended

    @rule(email=st.sampled_from(EMAILS), token=tokens)
    def change_password(self, email: str, token: str) -> None:
        """Only the session in which it is done stays, and only if it is of the same account."""
        number = int(self.passwords[email].split()[-1])
        new = f"fine rain on seven roofs {number + 1}"
        account = self.accounts.by_email(email)
        kept = self.number_of(token)
        self.entry.change_password(account, self.passwords[email], new, session=kept)
        self.passwords[email] = new
        for one in self.known:
            if one.email == email and one.token != token:
                one.ended = True

    @rule(email=st.sampled_from(EMAILS))
    def disable(self, email: str) -> None:
        self.accounts.disable(email)
        self.disabled.add(email)
        for one in self.known:
            one.ended = one.ended or one.email == email

    @rule(email=st.sampled_from(EMAILS))
    def enable(self, email: str) -> None:
        self.accounts.enable(email)
        self.disabled.discard(email)

    @rule(minutes=st.integers(0, 200))
    def wait(self, minutes: int) -> None:
        self.clock.pass_(minutes=minutes)

    @invariant()
    def owners_see_what_stands(self) -> None:
        for email in set(EMAILS) - self.disabled:
            standing = [one for one in self.known if one.email == email]
            standing = [one for one in standing if one.stands(self.clock.time, self.disabled)]
            assert len(self.store.of(self.ids[email])) == len(standing)

    def find(self, token: str) -> Known:
        return next(one for one in self.known if one.token == token)

    def number_of(self, token: str) -> int:
        """The id of a session: they are numbered in the order of `known`."""
        return self.known.index(self.find(token)) + 1


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_the_database_does_not_hold_what_lets_one_in(engine: Engine, account_of) -> None:
    token = SessionStore(engine, Lifetimes()).begin(account_of().id, way="password")
    assert PATTERN.fullmatch(token)
    engine.dispose()  # writes the journal
    held = b"".join(path.read_bytes() for path in _files(engine))
    assert b"mina@example.com" in held  # it would be found
    assert token.encode() not in held


@pytest.mark.parametrize("token", ["", "x" * 43, "x" * 10_000, "'; --", "\x00" * 43, "é" * 43])
def test_what_is_no_token_is_nobody_s(engine: Engine, token: str) -> None:
    assert SessionStore(engine, Lifetimes()).find(token) is None


def test_of_too_many_sessions_the_oldest_ends(engine: Engine, account_of, clock: Clock) -> None:
    store, account = SessionStore(engine, Lifetimes(), clock), account_of()
    tokens = []
    for _ in range(MAX_SESSIONS + 2):
        tokens.append(store.begin(account.id, way="password"))
        clock.pass_(seconds=1)
    assert [store.find(token) is None for token in tokens[:3]] == [True, True, False]
    assert len(store.of(account.id)) == MAX_SESSIONS


def test_sessions_end_in_the_audit_log(engine: Engine, account_of) -> None:
    store, account = SessionStore(engine, Lifetimes()), account_of()
    store.begin(account.id, way="passkey", address="192.0.2.1")
    assert store.end_others(account.id, None) == 1
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT action, address FROM audit ORDER BY id")).all()
    assert rows[-2:] == [("session.begin", "192.0.2.1"), ("session.end_others", "")]


def _files(engine: Engine) -> list[Path]:
    return [path for path in database_files(engine) if path.exists()]
