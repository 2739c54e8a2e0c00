"""Passwords: which are accepted, and how they are hashed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final, TypeVar

from satchel.errors import AccountError, Busy
from satchel.market.accounts.secret import new_secret
from satchel.parallel import cores

if TYPE_CHECKING:
    from pwdlib import PasswordHash

MIN_CHARS: Final = 10
MAX_CHARS: Final = 128
MIN_DISTINCT: Final = 4
MIN_OWN_CHARS: Final = 4
"""Parts of an e-mail address or a name that are shorter may stand in a password."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What argon2id takes to compute one hash."""

    memory_kib: int
    passes: int
    lanes: int


COST = Cost(memory_kib=64 * 1024, passes=3, lanes=4)
"""The second recommended parameters of RFC 9106, section 4."""

Result = TypeVar("Result")

PLACES: Final = 16
"""Passwords being hashed or waiting, at most: each holds a thread of the server."""


class Passwords:
    """Hashes and checks passwords by argon2id. Thread-safe; as many at once as there are cores.

    Args:
        cost: of new hashes; default, `COST`. Stored ones of another cost are still checked.
    """

    def __init__(self, cost: Cost | None = None) -> None:
        self._hasher = _hasher(cost or COST)
        self._places = BoundedSemaphore(PLACES)
        self._running = BoundedSemaphore(cores())
        self._nobodys = self._hasher.hash(new_secret())

    def hash(self, password: str) -> str:
        """Return the hash of a password, with a salt of its own.

        Raises:
            Busy: too many are waiting.
        """
        return self._in_turn(lambda: self._hasher.hash(_normal(password)))

    def check(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Check a password; in the same time where there is none to compare with.

        Returns:
            Whether it is right, and its new hash where the stored one has other parameters.

        Raises:
            Busy: too many are waiting.
        """
        given = _normal(password[: MAX_CHARS + 1])  # a longer one is wrong at any rate
        right, renewed = self._in_turn(
            lambda: self._hasher.verify_and_update(given, stored or self._nobodys)
        )
        return right and stored is not None, renewed if stored else None

    def _in_turn(self, work: Callable[[], Result]) -> Result:
        if not self._places.acquire(blocking=False):
            raise Busy("many people are logging in; try again in a moment")
        try:
            with self._running:
                return work()
        finally:
            self._places.release()


def require_good(password: str, *own: str) -> None:
    """Check that a password may be chosen: long enough, not common, not one's own name.

    No character classes are demanded (NIST SP 800-63B, section 3.1.1.2).

    Args:
        own: the person's e-mail address and name.

    Raises:
        AccountError: it may not.
    """
    length = len(_normal(password))
    if not MIN_CHARS <= length <= MAX_CHARS:
        raise AccountError(
            f"expected a password of {MIN_CHARS} to {MAX_CHARS} characters, got {length}",
            "password-length",
        )
    folded = _normal(password).casefold()
    names = {part for text in own for part in text.casefold().replace("@", " ").split()}
    if folded in common_passwords() or len(set(folded)) < MIN_DISTINCT:
        raise AccountError(
            "this password is one of those that are tried first; choose another one",
            "password-common",
        )
    if any(len(name) >= MIN_OWN_CHARS and name in folded for name in names):
        raise AccountError(
            "expected a password without your name and e-mail address; choose another one",
            "password-own",
        )


@cache
def common_passwords() -> frozenset[str]:
    """Return the 30,000 most common passwords that zxcvbn lists, in lower case."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 - large

    return frozenset(FREQUENCY_LISTS["passwords"])


def _hasher(cost: Cost) -> PasswordHash:
    from pwdlib import PasswordHash  # noqa: PLC0415 - of the extra market
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415

    hasher = Argon2Hasher(
        time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes
    )
    return PasswordHash((hasher,))


def _normal(password: str) -> str:
    """Compose characters: a Mac may send 가 as two, which are the same to who types them."""
    return unicodedata.normalize("NFC", password)
