"""Give every request an id, log it, and count it."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satchel.web.addresses import client_of
from satchel.web.logs import REQUESTS, request_id
from satchel.web.metrics import METHODS, Metrics

HEADER: Final = "X-Request-ID"
GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""Ids of a proxy that are taken over; of any other make, a new one is given."""
ID_BYTES: Final = 8
GONE: Final = 499
"""Status of a request whose client left before the answer, as nginx writes it."""

log = logging.getLogger(REQUESTS)


class Recorded:
    """Gives requests an id, logs them and counts them. Around the whole application.

    Logged are address, method, path, status, seconds, bytes of the answer, and the id: nothing
    that a body or a query holds.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        identity = given if GIVEN_ID.fullmatch(given) else secrets.token_hex(ID_BYTES)
        request_id.set(identity)  # not taken back: the server logs what the application raises
        method, begin = scope["method"], time.perf_counter()
        status, sent_bytes = GONE, 0

        async def send_noted(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identity
            sent_bytes += len(message.get("body", b""))
            await send(message)

        with self._metrics.in_progress.track_inprogress():
            try:
                await self._app(scope, receive, send_noted)
            finally:
                self._note(scope, method, status, time.perf_counter() - begin, sent_bytes)

    def _note(
        self, scope: Scope, method: str, status: int, seconds: float, sent_bytes: int
    ) -> None:
        route = getattr(scope.get("route"), "path", "")
        known = method if method in METHODS else "other"
        self._metrics.requests.labels(known, route, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        client, path = client_of(scope), quote(scope["path"])
        log.info(
            "%s %s %s %d %.0f ms %d B",
            *(client, method, path, status, seconds * 1000, sent_bytes),
            extra={
                "figures": {
                    "client": client,
                    "method": method,
                    "path": path,
                    "status": status,
                    "seconds": round(seconds, 4),
                    "bytes": sent_bytes,
                }
            },
        )
