"""What sites permit: robots.txt, reservations of text and data mining, and headers of answers.

Sources: RFC 9309 (robots.txt), the TDM Reservation Protocol (W3C community group), and the words
`noai` and `noimageai` of X-Robots-Tag.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
from protego import Protego

from satchel._version import __version__
from satchel.collect.recording import host_of
from satchel.errors import AddressRefused, FetchError, NotPermitted
from satchel.fetch.client import FetchClient

AGENT: Final = "Satchel"
"""The name that robots.txt addresses us by."""
MAX_ROBOTS_BYTES: Final = 500 * 1024
MAX_RESERVATIONS: Final = 200
FORBIDDING: Final = frozenset(("none", "noindex", "noimageindex", "noai", "noimageai"))
"""Words of X-Robots-Tag with which a photo is not taken."""

OUT_OF_RESULTS: Final = frozenset(("none", "noindex", "noimageindex"))
"""Those of them that keep a page out of search results."""


class HostUnclear(FetchError):
    """A host's robots.txt cannot be read, so that nothing may be requested of it now."""


def user_agent(contact: str) -> str:
    """Return how we name ourselves to sites."""
    return f"{AGENT}/{__version__} (+{contact})"


@dataclass(slots=True)
class _Site:
    """What one origin permits.

    Attributes:
        unclear: why that cannot be found out now.
        refused: why nothing may be requested of it: its name leads to an address that is not
            public, for instance, which no later run changes.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    robots: Protego | None = None
    reserved: list[tuple[Protego, bool]] = field(default_factory=list)
    unclear: str = ""
    refused: str = ""


class Permissions:
    """What origins permit, asked once each; safe in several threads.

    Args:
        client: what robots.txt is requested with.
        headers: of those requests.
        permitted: hosts that are not asked.
    """

    def __init__(
        self, client: FetchClient, headers: Mapping[str, str], permitted: Collection[str] = ()
    ) -> None:
        self._client = client
        self._headers = headers
        self._permitted = frozenset(permitted)
        self._sites: dict[str, _Site] = {}
        self._lock = threading.Lock()

    def check(self, url: str) -> None:
        """Check that a URL may be requested and used.

        Raises:
            NotPermitted: robots.txt or a reservation speaks against it.
            AddressRefused: its host, or where its robots.txt leads, may not be requested.
            HostUnclear: that cannot be found out now.
        """
        parsed = httpx2.URL(url)
        if self._is_permitted(parsed):
            return
        site = self._site(parsed)
        assert site.robots is not None
        if not site.robots.can_fetch(url, AGENT):
            raise NotPermitted("its robots.txt does not allow it")
        for rule, reserved in site.reserved:
            if not rule.can_fetch(url, AGENT):  # the first that fits counts
                if reserved:
                    raise NotPermitted("its owner reserves text and data mining (tdmrep.json)")
                return

    def check_answer(self, url: str, headers: Mapping[str, str], *, listing: bool = False) -> None:
        """Check what the headers of an answer say of its use.

        Args:
            listing: it is a sitemap, which is only read: being kept out of search results, as most
                are, says nothing against that.

        Raises:
            NotPermitted: they speak against it.
        """
        if self._is_permitted(httpx2.URL(url)):
            return
        words = robots_tag(headers.get("x-robots-tag", ""))
        if found := sorted(words & (FORBIDDING - OUT_OF_RESULTS if listing else FORBIDDING)):
            raise NotPermitted(f"it says {', '.join(found)} (X-Robots-Tag)")
        if headers.get("tdm-reservation", "").strip() == "1":
            raise NotPermitted("its owner reserves text and data mining (TDM-Reservation)")

    def delay(self, url: str) -> float:
        """Return the seconds between requests that a host's robots.txt asks for; 0 for none."""
        parsed = httpx2.URL(url)
        with self._lock:
            site = self._sites.get(_origin(parsed))
        if site is None or site.robots is None:
            return 0.0
        return float(site.robots.crawl_delay(AGENT) or 0.0)

    def sitemaps(self, url: str) -> list[str]:
        """Return the sitemaps that a host's robots.txt names.

        Raises:
            AddressRefused, HostUnclear: it may not be read, or cannot be now.
        """
        site = self._site(httpx2.URL(url))
        assert site.robots is not None
        return list(site.robots.sitemaps)

    def is_permitted(self, url: str) -> bool:
        """Whether a URL's host is one that is not asked."""
        return self._is_permitted(httpx2.URL(url))

    def _is_permitted(self, url: httpx2.URL) -> bool:
        return url.host in self._permitted or host_of(url) in self._permitted

    def _site(self, url: httpx2.URL) -> _Site:
        """Return what an origin permits; raises as `sitemaps`."""
        origin = _origin(url)
        with self._lock:
            site = self._sites.setdefault(origin, _Site())
        with site.lock:
            if site.robots is None and not site.unclear and not site.refused:
                self._ask(origin, site)
        if site.refused:
            raise AddressRefused(site.refused)
        if site.unclear:
            raise HostUnclear(site.unclear)
        return site

    def _ask(self, origin: str, site: _Site) -> None:
        try:
            status, body = self._get(f"{origin}/robots.txt")
            _, reservations = self._get(f"{origin}/.well-known/tdmrep.json")
        except AddressRefused as error:
            site.refused = f"its robots.txt may not be read: {error}"
            return
        except FetchError as error:
            site.unclear = f"its robots.txt cannot be read ({error}): run this again later"
            return
        if status >= 500 or status == 429:
            site.unclear = f"its robots.txt is answered with {status}: run this again later"
            return
        site.reserved = _reservations(reservations)
        site.robots = Protego.parse(body[:MAX_ROBOTS_BYTES].decode("utf-8", "replace"))

    def _get(self, url: str) -> tuple[int, bytes]:
        answer = self._client.get(url, self._headers)
        return answer.status, answer.body if answer.status == 200 else b""


def robots_tag(value: str) -> frozenset[str]:
    """Return the words of an X-Robots-Tag that are for everybody or for us.

    >>> sorted(robots_tag("noai, noindex")), sorted(robots_tag("otherbot: none, noai"))
    (['noai', 'noindex'], [])
    >>> sorted(robots_tag("otherbot: none, satchel: noai"))
    ['noai']
    """
    words, for_us = set(), True
    for part in value.lower().split(","):
        agent, colon, rest = part.partition(":")
        if colon and agent.strip() not in ("unavailable_after", "max-image-preview", "max-snippet"):
            for_us, part = agent.strip() in ("*", AGENT.lower()), rest  # noqa: PLW2901
        if for_us:
            words.add(part.strip())
    return frozenset(words)


def _origin(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _reservations(body: bytes) -> list[tuple[Protego, bool]]:
    """Read a tdmrep.json: pairs of a rule that forbids what it is about, and if it reserves."""
    try:
        listed = json.loads(body) if body else []
    except (ValueError, RecursionError):
        return []
    rules = []
    for one in (listed if isinstance(listed, list) else [])[:MAX_RESERVATIONS]:
        location = one.get("location") if isinstance(one, dict) else None
        if isinstance(location, str) and location.startswith("/") and location.isprintable():
            rules.append((_about(location), _is_one(one.get("tdm-reservation"))))
    return rules


def _about(location: str) -> Protego:
    return Protego.parse(f"User-agent: *\nDisallow: {location}\n")


def _is_one(value: Any) -> bool:
    return str(value).strip() == "1"
