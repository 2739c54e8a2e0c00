"""Cross-site request protection: refuses requests that another site's page causes.

Browsers say where a request comes from (Fetch Metadata, W3C; Origin, RFC 6454); a program that
sends neither is not a browser, and nobody's session can be misused through it. `Host`, which an
Origin is compared with, has been checked before by `KnownHosts`: under a name of its own, another
site's page would count as ours.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from satchel.web.middleware.hosts import Authority, parse_authority
from satchel.web.problems import Kind, Refusal, refuse

SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
OWN_SITES: Final = frozenset(("same-origin", "none"))
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
OTHER_ORIGIN: Final = Kind(403, "other-origin", "The request comes from another site")


class OwnOrigin:
    """Refuses unsafe requests of other origins with 403.

    Args:
        outside: paths that take requests from anywhere, since they act for nobody.
    """

    def __init__(self, app: ASGIApp, *, outside: Container[str] = ()) -> None:
        self._app = app
        self._outside = outside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if it comes from here."""
        unsafe = scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        guarded = unsafe and scope["path"] not in self._outside
        if guarded and not from_here(Headers(scope=scope), scope["scheme"]):
            refusal = Refusal(
                OTHER_ORIGIN, "expected a request from Satchel's own pages, got one of another site"
            )
            await refuse(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def from_here(headers: Headers, scheme: str) -> bool:
    """Whether a request comes from our own pages, or from no page at all.

    Args:
        scheme: of the request, http or https.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in OWN_SITES
    return origin is None or _is_origin_of(origin, headers.get("host", ""), scheme)


def _is_origin_of(origin: str, host: str, requested: str) -> bool:
    """Whether pages of `host` have this origin.

    A page that came by http, which anybody between may have written, may not send to https. The
    other way round is allowed: behind a proxy that ends TLS and does not say so
    (X-Forwarded-Proto), our own https pages send requests that arrive by http.
    """
    scheme, _, authority = origin.partition("://")
    default = DEFAULT_PORTS.get(scheme)
    ours, theirs = parse_authority(host), parse_authority(authority)
    if default is None or ours is None or theirs is None:
        return False
    if scheme == "http" and requested == "https":
        return False
    return _with_port(ours, default) == _with_port(theirs, default)


def _with_port(authority: Authority, default: int) -> Authority:
    return authority if authority.port is not None else authority._replace(port=default)
