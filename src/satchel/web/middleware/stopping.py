"""Refuse new requests while the server stops, so that those in progress can end."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from satchel.web.problems import Kind, Refusal, refuse
from satchel.web.state import state_of

STOPPING: Final = Kind(503, "stopping", "Satchel is being stopped")


class RefusedWhileStopping:
    """Answers requests that come while the server stops with 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, unless the server stops."""
        if scope["type"] == "http" and state_of(Request(scope)).stopping:
            refusal = Refusal(
                STOPPING,
                "expected a running server, got one that is being stopped; try again in a moment",
                headers={"Retry-After": "10", "Connection": "close"},
            )
            await refuse(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)
