"""Which passwords are accepted, and how they are hashed."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.errors import AccountError, Busy
from satchel.market.accounts import passwords
from satchel.market.accounts.passwords import Cost, Passwords, require_good
from satchel.parallel import cores

GOOD = "fine rain on seven roofs"


def test_the_cost_of_a_hash_is_that_of_rfc_9106(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the tests' own is far cheaper
    real = Cost(memory_kib=65_536, passes=3, lanes=4)
    hashed = Passwords(real).hash(GOOD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PasswordHasher().verify(hashed, GOOD)  # another implementation of the same


@settings(max_examples=10)
@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_a_hash_is_of_its_password_alone(first: str, second: str) -> None:
    checker = Passwords()
    hashed = checker.hash(first)
    assert checker.check(first, hashed)[0]
    same = unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)
    assert checker.check(second, hashed)[0] == same
    if first.isascii() and not same:
        with pytest.raises(VerifyMismatchError):
            PasswordHasher().verify(hashed, second)


def test_every_hash_has_a_salt_of_its_own() -> None:
    assert Passwords().hash(GOOD) != Passwords().hash(GOOD)


def test_hangul_is_the_same_however_a_keyboard_sends_it() -> None:
    composed = "가방 일곱 개와 우산"
    hashed = Passwords().hash(composed)
    assert Passwords().check(unicodedata.normalize("NFD", composed), hashed)[0]


def test_a_hash_of_another_cost_is_checked_and_renewed() -> None:
    old = Passwords(Cost(16, 1, 1)).hash(GOOD)
    right, renewed = Passwords(Cost(32, 2, 1)).check(GOOD, old)
    assert right
    assert renewed
    assert "m=32,t=2,p=1" in renewed
    assert Passwords(Cost(32, 2, 1)).check(GOOD, renewed) == (True, None)


def test_nobody_s_password_is_hashed_too() -> None:
    """So that an unknown e-mail address takes as long as a wrong password."""
    checker = Passwords()
    verified: list[str] = []
    real = checker._hasher.verify_and_update

    def noted(given: str, stored: str) -> tuple[bool, str | None]:
        verified.append(stored)
        return real(given, stored)

    checker._hasher.verify_and_update = noted  # type: ignore[method-assign, assignment]
    assert checker.check(GOOD, None) == (False, None)
    hashed = checker.hash("another password")
    assert checker.check(GOOD, hashed)[0] is False
    parameters = [stored.split("$")[:4] for stored in verified]
    assert parameters[0] == parameters[1]


def test_as_many_are_hashed_at_once_as_there_are_cores() -> None:
    checker = Passwords()
    running, most, lock = 0, 0, Lock()
    gate = Barrier(passwords.PLACES)

    def hash_(_: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return ""

    checker._hasher.hash = hash_  # type: ignore[method-assign, assignment]

    def one(_: int) -> str:
        gate.wait()
        return checker.hash(GOOD)

    with ThreadPoolExecutor(passwords.PLACES) as pool:
        list(pool.map(one, range(passwords.PLACES)))
    assert most <= cores()


def test_who_comes_when_too_many_wait_is_sent_away() -> None:
    checker = Passwords()
    for _ in range(passwords.PLACES):
        assert checker._places.acquire(blocking=False)
    with pytest.raises(Busy):
        checker.hash(GOOD)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "password-length"),
        ("x" * 129, "password-length"),
        ("password123", "password-common"),
        ("PassWord123", "password-common"),
        ("aaaaaaaaaaaaaa", "password-common"),
        ("mina-and-the-rain", "password-own"),
        ("I am Seoul Mina!", "password-own"),
    ],
)
def test_weak_passwords_are_refused(password: str, reason: str) -> None:
    with pytest.raises(AccountError) as caught:
        require_good(password, "mina@example.com", "Seoul Kim")
    assert caught.value.reason == reason


@pytest.mark.parametrize("password", [GOOD, "가방 일곱 개와 우산", "x9y8" * 32, "   spaces   ok "])
def test_long_passwords_of_any_characters_are_accepted(password: str) -> None:
    require_good(password, "mina@example.com", "Mina")
