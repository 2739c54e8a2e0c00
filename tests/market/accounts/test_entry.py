"""Registration, log-in and passwords, against the database alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from satchel.catalog.tables import now
from satchel.errors import AccountError, LogInFailed
from satchel.jobs.queue import JobQueue
from satchel.market.accounts.emails import normal_email
from satchel.market.accounts.entry import Entry, Registration
from satchel.market.accounts.outbox import JOB, Direct, Jobs, MailHandler
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.records import Account
from satchel.market.accounts.store import AccountStore
from satchel.market.accounts.tokens import LIFETIMES, Purpose
from satchel.market.roles import Role
from support.clock import Clock
from support.market import PASSWORD, TOKEN, Mailbox

_LEASE: Any = None
OTHER = "nine swans over water"


def given(
    email: str = "mina@example.com", password: str = PASSWORD, name: str = ""
) -> Registration:
    return Registration(email, password, name, "en", "2")


def test_a_registration_waits_for_its_mailbox(entry: Entry, mailbox: Mailbox, engine: Engine):
    entry.register(given())
    with pytest.raises(LogInFailed):
        entry.check_password("mina@example.com", PASSWORD)
    account = entry.confirm(mailbox.token())
    assert entry.check_password(" MINA@example.com", PASSWORD).id == account.id
    with engine.connect() as connection:
        row = connection.execute(text("SELECT terms_version, role, name FROM accounts")).one()
    assert tuple(row) == ("2", "seller", "mina")


def test_who_registered_for_somebody_else_gets_nothing_of_it(entry: Entry, mailbox: Mailbox):
    """Account pre-hijacking: the last registration counts; secrets of earlier ones do not."""
    entry.register(given(password="an intruder's own"))
    first = mailbox.token()
    entry.register(given(password=PASSWORD))
    second = mailbox.token()
    with pytest.raises(AccountError):
        entry.confirm(first)
    entry.confirm(second)
    with pytest.raises(LogInFailed):
        entry.check_password("mina@example.com", "an intruder's own")
    entry.check_password("mina@example.com", PASSWORD)


def test_an_account_is_not_changed_by_who_registers_again(entry, mailbox, account_of):
    account_of()
    entry.register(given(password=OTHER))
    assert "/forgotten" in mailbox.next().text
    entry.check_password("mina@example.com", PASSWORD)
    with pytest.raises(LogInFailed):
        entry.check_password("mina@example.com", OTHER)


def test_all_failures_of_a_log_in_say_the_same(entry, engine, account_of, mailbox):
    account_of("mina@example.com")
    account_of("gone@example.com")
    AccountStore(engine).create(
        "keyless@example.com", name="", role=Role.SELLER, password_hash=None
    )
    AccountStore(engine).disable("gone@example.com")
    entry.register(given("waiting@example.com"))
    said = set()
    for email, password in [
        ("mina@example.com", "wrong"),
        ("gone@example.com", PASSWORD),
        ("keyless@example.com", PASSWORD),
        ("waiting@example.com", PASSWORD),
        ("unknown@example.com", PASSWORD),
        ("no address", PASSWORD),
    ]:
        with pytest.raises(LogInFailed) as caught:
            entry.check_password(email, password)
        said.add((str(caught.value), caught.value.reason))
    assert len(said) == 1


def test_secrets_of_e_mails_expire(engine: Engine, mailbox, account_of, clock: Clock):
    clock.time = now()
    entry = Entry(engine, Passwords(), post=Direct("https://shop.example", mailbox), clock=clock)
    account_of()
    entry.forget_password("mina@example.com")
    token = mailbox.token()
    entry.may_reset(token)
    clock.pass_(minutes=31)
    with pytest.raises(AccountError, match="too old"):
        entry.may_reset(token)
    with pytest.raises(AccountError, match="too old"):
        entry.reset_password(token, OTHER)


def test_a_secret_is_good_for_its_purpose_and_once(entry, mailbox, account_of):
    account_of()
    entry.forget_password("mina@example.com")
    token = mailbox.token()
    with pytest.raises(AccountError):
        entry.confirm(token)
    entry.forget_password("mina@example.com")
    newer = mailbox.token()
    for spent in (token, "", "x" * 43):
        with pytest.raises(AccountError):
            entry.reset_password(spent, OTHER)
    with pytest.raises(AccountError):
        entry.reset_password(newer, "short")  # does not use it up
    entry.reset_password(newer, OTHER)
    with pytest.raises(AccountError):
        entry.reset_password(newer, PASSWORD)
    entry.check_password("mina@example.com", OTHER)


def test_nobody_gets_an_e_mail_about_a_forgotten_password(entry, mailbox, account_of, engine):
    account_of("gone@example.com")
    AccountStore(engine).disable("gone@example.com")
    for email in ("unknown@example.com", "gone@example.com"):
        entry.forget_password(email)
    assert mailbox.empty()


def test_a_worker_sends_e_mails_whose_secrets_no_job_holds(engine, account_of, mailbox):
    account_of()
    entry = Entry(engine, Passwords(), post=Jobs())
    entry.forget_password("mina@example.com")
    (job,) = JobQueue(engine).jobs()
    assert job.kind == JOB
    handler = MailHandler(engine, "https://shop.example", mailbox)
    handler.run(_LEASE, job.arguments)
    token = mailbox.token()
    assert TOKEN.pattern not in str(job.arguments)
    assert token not in str(job.arguments)
    entry.reset_password(token, OTHER)


def test_the_audit_log_cannot_be_changed(engine: Engine, account_of):
    account_of()
    for statement in ("UPDATE audit SET action = 'x'", "DELETE FROM audit"):
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT action FROM audit")) == "account.create"


def test_the_last_admin_stays(engine: Engine, account_of: Callable[..., Account]):
    store = AccountStore(engine)
    account_of("a@example.com", Role.ADMIN)
    with pytest.raises(AccountError, match="only admin"):
        store.disable("a@example.com")
    with pytest.raises(AccountError, match="only admin"):
        store.set_role("a@example.com", Role.SELLER)
    account_of("b@example.com", Role.ADMIN)
    store.disable("a@example.com")
    with pytest.raises(AccountError, match="only admin"):
        store.disable("b@example.com")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Mina@Example.COM ", "mina@example.com"),
        ("a.b+c@sub.example.co.kr", "a.b+c@sub.example.co.kr"),
        ("mina@Bücher.example", "mina@xn--bcher-kva.example"),
    ],
)
def test_addresses_are_written_one_way(text: str, address: str):
    assert normal_email(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "mina", "@example.com", "mina@", "mina@localhost", "a b@example.com", "a@b..com",
     "a@example.com\r\nBcc: b@example.com", "a@-example.com", "a" * 65 + "@example.com",
     "a@" + "b" * 64 + ".com", "a@" + "b." * 130 + "com", "미나@example.com"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(AccountError):
        normal_email(text)


def test_tokens_last_as_long_as_their_e_mails_say():
    assert LIFETIMES[Purpose.CONFIRM] == timedelta(days=2)
    assert LIFETIMES[Purpose.RESET] == LIFETIMES[Purpose.LINK] == timedelta(minutes=30)
