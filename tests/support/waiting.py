"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

SOON_S = 30.0


def wait_until(fact: Callable[[], bool], within_s: float = SOON_S) -> None:
    """Wait until something is so; fail where it does not come to be."""
    end = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.01)
