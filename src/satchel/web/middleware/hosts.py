"""Refuses requests for a name that is not this server's: the defence against DNS rebinding.

A page of evil.example can let its name point to 127.0.0.1 once a browser has loaded it. The browser
then takes this server for a part of evil.example: the page reads the catalogue and decides in
review. `Host` (RFC 9110, section 7.2) holds the name that the browser used and gives the page away.
An IP address cannot be pointed elsewhere, so every IP address is accepted. Forwarded and
X-Forwarded-Host are not read: anybody can send them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from satchel.web.problems import Kind, Refusal, refuse

ALWAYS: Final = frozenset(("localhost",))
MAX_AUTHORITY_CHARS: Final = 260
"""A name has 253 characters at most (RFC 1035); then there may be a dot, a colon and a port."""

AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::(?P<port>\d{0,5}))?",
    re.ASCII,
)

BAD_HOST: Final = Kind(400, "bad-host", "The request does not say which server it is for")
UNKNOWN_HOST: Final = Kind(421, "unknown-host", "The server is not known by this name")
NO_STORE: Final = {"Cache-Control": "no-store"}


class Authority(NamedTuple):
    """Host of a request: a name or an IP address in lower case, and a port if one is given."""

    name: str
    port: int | None


def parse_authority(text: str) -> Authority | None:
    """Parse the value of `Host`, or of `Origin` after the scheme; None where it is malformed.

    A final dot marks a fully qualified name and is dropped.
    """
    found = AUTHORITY.fullmatch(text.lower()) if len(text) <= MAX_AUTHORITY_CHARS else None
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    if port is not None and port > 65_535:
        return None
    if found["ipv6"] is None:
        return Authority(found["name"], port)
    try:
        return Authority(str(IPv6Address(found["ipv6"])), port)
    except ValueError:
        return None


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class KnownHosts:
    """Refuses requests whose `Host` is neither an IP address nor one of `names`.

    Covers every route, `/healthz` and `/static` too: a health check by IP address or
    localhost passes. A refusal names no host that is accepted: the page that made the browser ask
    can read it.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str]) -> None:
        self._app = app
        self._names = ALWAYS.union(names)
        self._suffixes = tuple(name[1:] for name in self._names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if it is for this server."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await refuse(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        hosts = Headers(scope=scope).getlist("host")
        if not hosts and scope["http_version"] == "1.0":
            return None  # as some load balancers check health; every browser sends Host
        authority = parse_authority(hosts[0]) if len(hosts) == 1 else None
        if authority is None:
            return _bad_host(hosts)
        return None if self._knows(authority.name) else _unknown_host(authority.name)

    def _knows(self, name: str) -> bool:
        return (
            name in self._names
            or "*" in self._names
            or name.endswith(self._suffixes)
            or is_address(name)
        )


def _bad_host(hosts: list[str]) -> Refusal:
    got = ascii(hosts[0][:MAX_AUTHORITY_CHARS]) if len(hosts) == 1 else f"{len(hosts)} of them"
    return Refusal(
        BAD_HOST,
        f"expected one Host header with a name or an IP address, got {got}; "
        "open the server by its address, such as http://127.0.0.1:8000",
        headers=NO_STORE,
    )


def _unknown_host(name: str) -> Refusal:
    return Refusal(
        UNKNOWN_HOST,
        "expected a request by IP address, as localhost, or by a name that satchel.toml lists, "
        f'got one for "{name}"; if this name is yours, add it in satchel.toml under [serve], '
        f'hosts = ["{name}"], and start satchel serve again',
        extras={"host": name},
        headers=NO_STORE,
    )
