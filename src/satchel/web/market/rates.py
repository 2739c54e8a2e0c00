"""How often something may be tried: by an address, account or key, or for an e-mail address.

By sliding window counters in memory, as `satchel.web.middleware.rates`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Container
from typing import Final

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from satchel.web.addresses import counted_as
from satchel.web.problems import Kind, Refusal
from satchel.web.visitors import Visitor

TOO_MANY: Final = Kind(429, "too-many-tries", "Too many tries")

LOG_INS_OF_ADDRESS: Final = RateLimitItemPerMinute(60, 15)
LOG_INS_OF_EMAIL: Final = RateLimitItemPerHour(60)
"""From everywhere: a password of ten characters is not found at this rate, and who has the right
one is kept out by nobody who tries less often."""

LOG_INS_OF_BOTH: Final = RateLimitItemPerMinute(10, 15)
REGISTRATIONS: Final = RateLimitItemPerHour(20)
RESETS_OF_ADDRESS: Final = RateLimitItemPerHour(20)
LETTERS_TO_EMAIL: Final = RateLimitItemPerHour(5)


class Rates:
    """Counts tries, and refuses those that are too many with the time to wait.

    Args:
        per_minute: requests of one account or API key.
        unlimited: addresses that are not counted: proxies, which stand for many.
    """

    def __init__(self, per_minute: int, unlimited: Container[str]) -> None:
        self._counted = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(per_minute)
        self._unlimited = unlimited

    def request(self, visitor: Visitor) -> None:
        """Count a request of an account or an API key.

        Raises:
            Refusal: it is one too many.
        """
        if visitor.key is not None:
            self._hit(self._requests, "key", str(visitor.key.id))
        elif visitor.account is not None:
            self._hit(self._requests, "account", str(visitor.account.id))

    def log_in(self, address: str, email: str) -> None:
        """Count a try to log in.

        Raises:
            Refusal: it is one too many.
        """
        name = email.strip().lower()
        self._hit(LOG_INS_OF_BOTH, "log-in", counted_as(address), name)
        self._hit_address(LOG_INS_OF_ADDRESS, "log-in", address)
        self._hit(LOG_INS_OF_EMAIL, "log-in-email", name)

    def begin(self, address: str) -> None:
        """Count a log-in by another service or a passkey.

        Raises:
            Refusal: it is one too many.
        """
        self._hit_address(LOG_INS_OF_ADDRESS, "log-in", address)

    def register(self, address: str) -> None:
        """Count a registration.

        Raises:
            Refusal: it is one too many.
        """
        self._hit_address(REGISTRATIONS, "register", address)

    def reset(self, address: str) -> None:
        """Count a try to get a new password.

        Raises:
            Refusal: it is one too many.
        """
        self._hit_address(RESETS_OF_ADDRESS, "reset", address)

    def letter(self, email: str) -> bool:
        """Count an e-mail that anybody can have sent; whether it may be sent: no answer says."""
        return self._counted.hit(LETTERS_TO_EMAIL, "letter", email.strip().lower())

    def _hit_address(self, limit: RateLimitItem, what: str, address: str) -> None:
        if address not in self._unlimited:
            self._hit(limit, what, counted_as(address))

    def _hit(self, limit: RateLimitItem, *names: str) -> None:
        if self._counted.hit(limit, *names):
            return
        reset = self._counted.get_window_stats(limit, *names).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        raise Refusal(
            TOO_MANY,
            f"expected at most {limit}; try again in {seconds} seconds",
            headers={"Retry-After": str(seconds)},
        )
