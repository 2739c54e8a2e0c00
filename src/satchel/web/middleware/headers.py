"""Security headers of every response, such as the Content-Security-Policy."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = "Content-Security-Policy"
SECURITY_HEADERS: Final = {
    POLICY: (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A file field that opens the phone's camera needs no permission.
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
}
HSTS: Final = "max-age=15552000"
"""Half a year (RFC 6797). Not for names below this one: they may be other servers."""


class SecurityHeaders:
    """Adds the headers of `secure` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, receive, send_secured)


def secure(headers: MutableHeaders, scope: Scope) -> None:
    """Add security headers to an answer, unless it has its own.

    JSON is not stored by browsers and proxies. Over https the browser learns to come by https
    only, and to send cookies by nothing else.
    """
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if "json" in headers.get("content-type", ""):
        headers.setdefault("Cache-Control", "no-store")
    if scope["scheme"] == "https":
        headers.setdefault("Strict-Transport-Security", HSTS)
        for at, (key, cookie) in enumerate(headers.raw):
            if key == b"set-cookie" and b"; secure" not in cookie.lower():
                headers.raw[at] = (key, cookie + b"; Secure")
