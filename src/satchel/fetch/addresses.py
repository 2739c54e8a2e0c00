"""Which URLs may be requested."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

import httpx2

from satchel.errors import AddressRefused
from satchel.fetch.rules import FetchRules

MAX_URL_CHARS: Final = 2_000

_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
"""Last label of a host that is an IPv4 address in some notation, as browsers see it."""
_AUTHORITY: Final = re.compile(r"[a-z]+://(?:[^/?#]{0,200}@)?([^/?#@:]{1,200})", re.IGNORECASE)


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
        host = _AUTHORITY.match(url)
        if host and _NUMBER.fullmatch(host[1].rpartition(".")[2]):
            raise AddressRefused(_unusual(host[1])) from None
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
            raise AddressRefused(_unusual(host)) from None
        return
    if not rules.allows(address):
        raise AddressRefused(not_public(host, address))


def _unusual(host: str) -> str:
    return (
        f"expected a name or an address in its usual form, such as 203.0.113.7, got {host[:200]!r}"
    )


def not_public(host: str, address: str) -> str:
    """Say that an address is not one of the public internet."""
    shown = host if host == address else f"{host} ({address})"
    return f"{shown} is not a public address: name a host that the internet reaches"
