"""Which URLs and which IP addresses may be requested."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

import httpx2

from satchel.errors import AddressRefused

MAX_URL_CHARS: Final = 2_000

_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SPECIAL: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Networks for special purposes that `is_global` does not know as such."""

_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
"""Last label of a host that is an IPv4 address in some notation, as browsers see it."""


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be requested, and limits on it.

    Attributes:
        http: whether URLs may be http; otherwise only https.
        networks: addresses and networks that are allowed besides public addresses.
        max_bytes: of an answer, decompressed, at most; and of what is transferred.
        max_seconds: for a request, from resolving the name to the last byte of the answer.
        max_redirects: that are followed; each is checked as the first URL is.
    """

    http: bool = False
    networks: Sequence[str] = ()
    max_bytes: int = 1_000_000
    max_seconds: float = 20
    max_redirects: int = 0

    def allows(self, address: str) -> bool:
        """Whether an IP address may be connected to."""
        ip = ip_address(address.partition("%")[0])
        listed = (ip_network(one) for one in self.networks)
        return is_public(ip) or any(ip.version == own.version and ip in own for own in listed)


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the public internet, and so is the one it embeds, if any."""
    if isinstance(ip, IPv4Address):
        special = any(ip in network for network in _SPECIAL)
        return ip.is_global and not ip.is_multicast and not ip.is_reserved and not special
    embedded = ip.ipv4_mapped or ip.sixtofour
    if embedded is None and ip in _NAT64:
        embedded = IPv4Address(int(ip) & 0xFFFFFFFF)
    if embedded is not None:
        return is_public(embedded)
    return ip in _UNICAST and ip.is_global and not ip.is_multicast


def checked_url(url: str, rules: FetchRules) -> httpx2.URL:
    """Parse a URL and check all of it that needs no resolving.

    Raises:
        AddressRefused: it is no URL, of another scheme, or its host, port or user is not allowed.
    """
    if len(url) > MAX_URL_CHARS:
        raise AddressRefused(f"expected an address of at most {MAX_URL_CHARS:,} characters")
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        raise AddressRefused(f"expected an address such as https://…, got {url[:200]!r}") from None
    schemes = ("https", "http") if rules.http else ("https",)
    shown = str(parsed.copy_with(username=None, password=None, query=None))[:200]
    if parsed.scheme not in schemes:
        raise AddressRefused(f"expected an address with {' or '.join(schemes)}, got {shown}")
    if parsed.userinfo:
        raise AddressRefused(f"expected an address without user and password, got {shown}")
    if not parsed.host:
        raise AddressRefused(f"expected an address with a host, got {shown}")
    if parsed.port is not None and parsed.port < 1024 and parsed.port not in (80, 443):
        raise AddressRefused(f"expected port 80, 443 or one from 1024 on, got {shown}")
    _check_host(parsed.host, rules)
    return parsed


def _check_host(host: str, rules: FetchRules) -> None:
    """Refuse an IP address that is not allowed, and one in an unusual notation."""
    try:
        address = str(ip_address(host.partition("%")[0]))
    except ValueError:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise AddressRefused(
                f"expected a name or an address such as 203.0.113.7, got {host!r}"
            ) from None
        return
    if not rules.allows(address):
        raise AddressRefused(not_public(host, address))


def not_public(host: str, address: str) -> str:
    """Say that an address is not one of the public internet."""
    shown = host if host == address else f"{host} ({address})"
    return f"{shown} is not a public address: name a host that the internet reaches"
