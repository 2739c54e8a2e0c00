"""Finds calls that wait where nothing may: on the event loop, or in one of the few threads."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

import pytest
from anyio import to_thread
from sqlalchemy import Engine, event

from satchel.collect.store import CandidateStore
from satchel.decoding.pool import DecoderPool
from satchel.fetch.client import FetchClient
from satchel.market.accounts.passwords import Passwords
from satchel.market.desk.regions import RegionFinder
from satchel.market.desk.seen import seen_before
from satchel.market.learning.weekly import figures
from satchel.market.privacy.personal import delete_account, export_data
from satchel.market.privacy.public_photos import PublicPhotos
from satchel.market.sale.shelf import Shelf
from satchel.web.state import ServerState

WAITING: Final[Sequence[tuple[type, str]]] = (
    (ServerState, "identify"),
    (ServerState, "similar"),
    (DecoderPool, "_run"),
    (Passwords, "_in_turn"),
    (FetchClient, "request"),
    (FetchClient, "check"),
    (RegionFinder, "_compare"),
    (PublicPhotos, "_make"),
    (PublicPhotos, "_make_small"),
    (PublicPhotos, "_make_preview"),
    (Shelf, "addresses"),
    (CandidateStore, "counts_by_source"),
    (CandidateStore, "counts_by_product"),
)
"""Methods that wait for models, decoders, hashes or networks, or that read a whole table."""

READING: Final[Sequence[Callable[..., Any]]] = (
    seen_before,
    figures,
    export_data,
    delete_account,
)
"""Functions that read or write as much as there is."""

_PATIENT: Final[ContextVar[bool | None]] = ContextVar("patient", default=None)
"""Whether a thread of the server may wait; None in threads that answer no request."""


@contextmanager
def found_waits() -> Iterator[list[str]]:
    """Note each wait that holds what others need: its name, and who called it."""
    found: list[str] = []

    def look(name: str, *, few_threads_may: bool = False) -> None:
        held = (
            "the event loop"
            if _in_event_loop()
            else "one of the few threads"
            if _PATIENT.get() is False and not few_threads_may
            else None
        )
        if held:
            callers = [one for one in traceback.extract_stack() if "/satchel/" in one.filename]
            lines = [
                f"{one.filename.rpartition('/')[2]}:{one.lineno} {one.name}" for one in callers
            ]
            found.append(f"{name} holds {held}: {' < '.join(reversed(lines[-8:]))}")

    def noticed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(function)
        def run(*given: Any, **named: Any) -> Any:
            look(name)
            return function(*given, **named)

        return run

    def query(*_: object) -> None:
        look("a query", few_threads_may=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(to_thread, "run_sync", _marking(to_thread.run_sync))
        for owner, name in WAITING:
            patch.setattr(owner, name, noticed(getattr(owner, name), f"{owner.__name__}.{name}"))
        for function in READING:
            new = noticed(function, function.__name__)
            for module in list(sys.modules.values()):
                if getattr(module, function.__name__, None) is function:
                    patch.setattr(module, function.__name__, new)
        event.listen(Engine, "before_cursor_execute", query)
        try:
            yield found
        finally:
            event.remove(Engine, "before_cursor_execute", query)


def _marking(run_sync: Callable[..., Any]) -> Callable[..., Any]:
    """`to_thread.run_sync` that marks threads by whether they may wait: `patient` has a limiter."""

    async def run(
        function: Callable[..., Any], *given: Any, limiter: Any = None, **named: Any
    ) -> Any:
        def marked() -> Any:
            _PATIENT.set(limiter is not None)  # of a copy of the context, which ends here
            return function(*given)

        return await run_sync(marked, limiter=limiter, **named)

    return run


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
