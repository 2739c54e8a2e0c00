"""Which IP addresses may be connected to, and limits on requests."""

from __future__ import annotations

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

_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SPECIAL: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Networks for special purposes that `is_global` does not know as such."""


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
