"""What the server keeps for a while: bounded in bytes, number and time, and by session."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from satchel.errors import UploadExpired
from satchel.web.kept import Kept


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def kept(
    clock: Clock | None = None,
    *,
    max_bytes: int = 100,
    max_count: int = 10,
    max_of_session: int = 5,
) -> Kept[str]:
    return Kept(
        max_bytes=max_bytes,
        max_count=max_count,
        max_of_session=max_of_session,
        max_age_s=60,
        clock=clock or Clock(),
    )


def test_a_value_is_given_to_its_session_alone() -> None:
    store = kept()
    token = store.put("me", "photo", 10)
    assert token is not None
    assert store.get("me", token) == "photo"
    for session, other in (("you", token), ("me", "x"), ("", token), ("me", ""), ("나", token)):
        with pytest.raises(UploadExpired, match="send the photos again"):
            store.get(session, other)


def test_tokens_cannot_be_guessed() -> None:
    store = kept(max_count=1000, max_of_session=1000, max_bytes=10**6)
    tokens = {store.put("me", "same", 1) for _ in range(500)}
    assert len(tokens) == 500
    assert all(token is not None and len(token) == 32 for token in tokens)


def test_what_is_not_used_expires_and_what_is_used_does_not() -> None:
    clock = Clock()
    store = kept(clock)
    used, unused = store.put("a", "used", 1), store.put("a", "unused", 1)
    assert used is not None
    assert unused is not None
    clock.now += 50
    assert store.get("a", used) == "used"
    clock.now += 50
    assert store.get("a", used) == "used"
    with pytest.raises(UploadExpired):
        store.get("a", unused)
    clock.now += 61
    assert len(store) == 0
    assert store.size_bytes == 0


def test_the_least_recently_used_go_first() -> None:
    store = kept(max_bytes=30)
    first, second, third = (store.put(one, one, 10) for one in "abc")
    assert store.get("a", str(first)) == "a"
    store.put("d", "d", 10)
    assert store.get("a", str(first)) == "a"
    with pytest.raises(UploadExpired):
        store.get("b", str(second))
    assert store.get("c", str(third)) == "c"


def test_one_session_does_not_take_all_places() -> None:
    store = kept(max_of_session=3)
    other = store.put("other", "theirs", 1)
    mine = [store.put("me", str(number), 1) for number in range(8)]
    assert len(store) == 4
    assert store.get("other", str(other)) == "theirs"
    assert [store.get("me", str(token)) for token in mine[-3:]] == ["5", "6", "7"]


def test_what_is_too_large_is_not_kept_and_costs_nobody_a_place() -> None:
    store = kept(max_bytes=30)
    token = store.put("a", "small", 30)
    assert store.put("b", "large", 31) is None
    assert store.get("a", str(token)) == "small"
    assert kept(max_bytes=0).put("a", "x", 1) is None  # switched off


def test_limits_hold_under_threads() -> None:
    store = kept(max_bytes=50, max_count=20, max_of_session=4)

    def work(seed: int) -> None:
        rng, session = random.Random(seed), str(seed % 3)
        tokens: list[str] = []
        for _ in range(300):
            if tokens and rng.random() < 0.5:
                with suppress(UploadExpired):
                    assert store.get(session, rng.choice(tokens)) == session
            elif token := store.put(session, session, rng.randint(1, 20)):
                tokens.append(token)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert store.size_bytes <= 50
    assert len(store) <= 12
