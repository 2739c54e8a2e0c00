"""Limit how many identifications one address may request in a minute."""

from __future__ import annotations

import math
import time
from collections.abc import Container
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from satchel.web.addresses import client_of, counted_as
from satchel.web.problems import Kind, Refusal, refuse

TOO_MANY_REQUESTS: Final = Kind(429, "too-many-requests", "Too many identifications")


class LimitedRate:
    """Refuses identifications of an address that has requested too many, before they are read.

    By a sliding window counter: its memory holds two numbers an address, for two minutes.

    Args:
        per_minute: identifications of one address, or of one IPv6 network of 64 bits.
        paths: what counts.
        unlimited: addresses that are not limited.
    """

    def __init__(
        self, app: ASGIApp, *, per_minute: int, paths: Container[str], unlimited: Container[str]
    ) -> None:
        self._app = app
        self._limit = RateLimitItemPerMinute(per_minute)
        self._counted = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._paths = paths
        self._unlimited = unlimited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if its address may."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths:
            client = client_of(scope)
            name = counted_as(client)
            if client not in self._unlimited and not self._counted.hit(self._limit, name):
                await refuse(self._refusal(name), scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, name: str) -> Refusal:
        reset = self._counted.get_window_stats(self._limit, name).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        return Refusal(
            TOO_MANY_REQUESTS,
            f"expected at most {self._limit.amount} identifications a minute from one address; "
            f"try again in {seconds} seconds",
            headers={"Retry-After": str(seconds)},
        )
