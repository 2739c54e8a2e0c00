"""Notice clients that leave before their answer, so that nothing is computed for nobody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Container
from threading import Event
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY: Final = "satchel.gone"

OF_LISTING: Final = re.compile(r"(/api/v1)?/listings/[\w-]{1,32}/identify")
"""Paths under which a listing is identified from its photos."""


class NoticedDepartures:
    """Notices when the client of a request has closed its connection. For `is_gone`.

    Args:
        paths: on which it is noticed, besides those of `OF_LISTING`.
    """

    def __init__(self, app: ASGIApp, *, paths: Container[str]) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not self._notices(scope["path"]):
            await self._app(scope, receive, send)
            return
        listener = _Listener(receive)
        scope[KEY] = listener.gone
        try:
            await self._app(scope, listener, send)
        finally:
            listener.stop()

    def _notices(self, path: str) -> bool:
        return path in self._paths or OF_LISTING.fullmatch(path) is not None


class _Listener:
    """`receive` that listens on after the end of the body, when only the departure can come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._departure: asyncio.Task[Message] | None = None
        self.gone = Event()

    async def __call__(self) -> Message:
        if self._departure is not None:
            return await asyncio.shield(self._departure)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self._departure = asyncio.create_task(self._listen())
        return message

    def stop(self) -> None:
        if self._departure is not None:
            self._departure.cancel()

    async def _listen(self) -> Message:
        message = await self._receive()
        self.gone.set()
        return message


def is_gone(request: Request) -> Callable[[], bool]:
    """Return a function that tells whether the client of a request is gone. For any thread."""
    gone: Event | None = request.scope.get(KEY)
    return gone.is_set if gone is not None else bool
