"""One request for a photo, and what follows from its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

from satchel.collect.permissions import HostUnclear, Permissions
from satchel.errors import AddressRefused, FetchError, FetchTooLarge, NotPermitted
from satchel.fetch.client import FetchClient, Fetched
from satchel.photo_formats import formats_of, unreadable

PAGES: Final = "text/html, application/xml;q=0.9, */*;q=0.5"
ACCEPT: Final = "image/jpeg, image/png, image/webp;q=0.9, image/*;q=0.5"
_CHALLENGE: Final = re.compile(
    rb"captcha|are you (?:a )?(?:human|robot)|unusual traffic|cf-chl|challenge-platform"
    rb"|just a moment",
    re.IGNORECASE,
)
"""Words of pages that ask whether a person is there."""
_TITLE: Final = re.compile(rb"<title[^>]{0,200}>([^<]{0,500})", re.IGNORECASE)
CHALLENGE_BYTES: Final = 100_000


class Kind(Enum):
    """What follows from a request."""

    PHOTO = auto()
    """Received, and usable; a page likewise."""
    REFUSED = auto()
    FAILED = auto()
    LATER = auto()
    """Worth another attempt."""
    BLOCKED = auto()
    """The host does not want us, perhaps: several in a row stop it."""
    STOP_HOST = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a request.

    Attributes:
        reason: for people, without the URL.
        wait_s: that the host asks for, at least.
        delay_s: that the host's robots.txt asks for between requests.
    """

    kind: Kind
    reason: str = ""
    body: bytes = b""
    wait_s: float | None = None
    delay_s: float = 0.0


def fetch(
    url: str, client: FetchClient, permissions: Permissions, headers: Mapping[str, str]
) -> Outcome:
    """Request a photo, if the site permits it, also where a redirect leads."""
    outcome, _ = _request(url, client, permissions, {**headers, "Accept": ACCEPT}, page=False)
    if outcome.kind is Kind.PHOTO and not formats_of(outcome.body):
        return Outcome(Kind.REFUSED, str(unreadable(outcome.body)))
    return outcome


def fetch_page(
    url: str,
    client: FetchClient,
    permissions: Permissions,
    headers: Mapping[str, str],
    *,
    listing: bool = False,
) -> tuple[Outcome, Fetched | None]:
    """Request a page, likewise; with the answer, where there was one.

    Args:
        listing: it is a sitemap; see `Permissions.check_answer`.
    """
    accepting = {**headers, "Accept": PAGES}
    return _request(url, client, permissions, accepting, page=True, listing=listing)


def _request(
    url: str,
    client: FetchClient,
    permissions: Permissions,
    headers: Mapping[str, str],
    *,
    page: bool,
    listing: bool = False,
) -> tuple[Outcome, Fetched | None]:
    try:
        permissions.check(url)
        answer = client.get(url, headers, on_redirect=permissions.check)
        return _judge(answer, permissions, page=page, listing=listing), answer
    except HostUnclear as error:
        return Outcome(Kind.STOP_HOST, str(error)), None
    except (NotPermitted, AddressRefused, FetchTooLarge) as error:
        return Outcome(Kind.REFUSED, str(error)), None
    except FetchError as error:
        return Outcome(Kind.LATER, str(error)), None


def _judge(answer: Fetched, permissions: Permissions, *, page: bool, listing: bool) -> Outcome:
    status = answer.status
    said = f"is answered with {status}"
    if status in (429, 503):
        kind = Kind.BLOCKED if status == 429 else Kind.LATER
        return Outcome(kind, said, wait_s=retry_after(answer.headers.get("retry-after", "")))
    if status in (401, 403, 451) or _is_challenge(answer, page=page):
        return Outcome(Kind.BLOCKED, f"{said}, which may be a block or a captcha")
    if status != 200:
        return Outcome(Kind.LATER if status >= 500 or status in (408, 425) else Kind.FAILED, said)
    permissions.check_answer(answer.url, answer.headers, listing=listing)
    if not answer.body:
        return Outcome(Kind.REFUSED, "is empty")
    return Outcome(Kind.PHOTO, body=answer.body, delay_s=permissions.delay(answer.url))


def _is_challenge(answer: Fetched, *, page: bool) -> bool:
    """Whether an answer asks if a person is there: a page's forms may have captchas of their own.

    Args:
        page: a page is expected, so that only its title says what it is.
    """
    if "challenge" in answer.headers.get("cf-mitigated", ""):
        return True
    if "html" not in answer.headers.get("content-type", ""):
        return False
    text = answer.body[:CHALLENGE_BYTES]
    if page:
        title = _TITLE.search(text)
        text = title[1] if title else b""
    return _CHALLENGE.search(text) is not None


def retry_after(
    value: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """Return the seconds that a Retry-After header asks for; None where it says nothing usable.

    >>> retry_after("7"), retry_after("soon")
    (7.0, None)
    """
    if value.strip().isdecimal() and len(value) < 10:
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        return max(0.0, (until - clock()).total_seconds())
    except (ValueError, TypeError):
        return None
