"""Threads that endpoints run in: few for those that compute, others for those that wait.

The interpreter runs one thread at a time. Forty that render pages, as many as Starlette has, hand
it to each other at each row of the database, and all are late; a few finish one page after the
other. Where few threads are, none may be held for long: endpoints that wait for models, decoder
processes, password hashes or other servers are `patient`, and have threads of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

FEW: Final = 8
"""Threads of all other endpoints. With three, fifty readers without pauses wait a quarter less, but
three changes that wait for the database's lock would stop every page."""

PATIENT: Final = 64
"""Twice the places for identifications (`satchel.web.state.PLACES`): half are left for uploads."""

P = ParamSpec("P")
Out = TypeVar("Out")

_PATIENT: Final[RunVar[CapacityLimiter]] = RunVar("satchel.patient")  # of an event loop


def limit_threads() -> None:
    """Let endpoints that are not patient run in `FEW` threads of this event loop."""
    to_thread.current_default_thread_limiter().total_tokens = FEW


def patient(endpoint: Callable[P, Out]) -> Callable[P, Awaitable[Out]]:
    """Run an endpoint in a thread that may wait for long."""

    @wraps(endpoint)
    async def run(*given: P.args, **named: P.kwargs) -> Out:
        return await patiently(partial(endpoint, *given, **named))

    return run


async def patiently(function: Callable[[], Out]) -> Out:
    """Run a function in a thread that may wait for long."""
    try:
        limiter = _PATIENT.get()
    except LookupError:
        limiter = CapacityLimiter(PATIENT)
        _PATIENT.set(limiter)
    return await to_thread.run_sync(function, limiter=limiter)
