"""Addresses of clients: whose request it is, and whose addresses count as one client."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from starlette.types import Scope

CLIENT_PREFIX: Final = 64
"""Leading bits of an IPv6 address that one client holds: it may choose the rest as it likes."""
UNKNOWN: Final = "unknown"


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an IP address, IPv4 mapped into IPv6 as IPv4; None where it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def client_of(scope: Scope) -> str:
    """Return the address of a request's client, or `UNKNOWN`.

    Behind a trusted proxy uvicorn has put the address from X-Forwarded-For here.
    """
    address = parse_address(scope["client"][0]) if scope.get("client") else None
    return UNKNOWN if address is None else str(address)


def counted_as(client: str) -> str:
    """Return the name under which a client is counted: its address, or its IPv6 network."""
    address = parse_address(client)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), CLIENT_PREFIX), strict=False))
    return client if address is None else str(address)


class Networks:
    """A set of addresses and networks, such as 127.0.0.1 and 10.0.0.0/8."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ip_network(one, strict=False) for one in networks)

    def __contains__(self, client: object) -> bool:
        address = parse_address(str(client))
        return address is not None and any(address in network for network in self._networks)
