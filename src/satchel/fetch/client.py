"""An HTTP client for addresses that strangers name: what it requests and takes is limited."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self

import httpcore2
import httpx2

from satchel._version import __version__
from satchel.errors import AddressRefused, FetchError, FetchTooLarge
from satchel.fetch.addresses import checked_url
from satchel.fetch.backend import GuardedBackend, Resolver, deadline, resolve
from satchel.fetch.rules import FetchRules

USER_AGENT: Final = f"Satchel/{__version__}"
ENCODINGS: Final = frozenset(("identity", "gzip", "deflate", ""))
"""Encodings of a body that are decompressed, in bounded pieces."""

IDLE_S: Final = 10.0
"""Seconds that a server may be silent."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer.

    Attributes:
        url: that was answered, after redirects.
        headers: names in lower case.
        body: decompressed; at most as many bytes as the rules allow.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class FetchClient:
    """Requests what `FetchRules` allow. Keeps connections; thread-safe."""

    def __init__(self, rules: FetchRules, *, resolver: Resolver = resolve) -> None:
        """Set up a client; nothing is requested yet.

        Args:
            resolver: host and port → IP addresses.
        """
        self._rules = rules
        self._backend = GuardedBackend(rules, resolver)
        self._client = httpx2.Client(
            transport=_Transport(self._backend, rules.max_bytes),
            timeout=httpx2.Timeout(min(IDLE_S, rules.max_seconds)),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # keeps none
            trust_env=False,  # a proxy would connect in our place, unchecked
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self, url: str) -> None:
        """Check a URL as a request does, and that its host has allowed addresses now.

        Raises:
            AddressRefused: it is not allowed.
            FetchError: its host has no address.
        """
        parsed = checked_url(url, self._rules)
        self._backend.addresses(parsed.host, parsed.port or _PORTS[parsed.scheme])

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        on_redirect: Callable[[str], None] | None = None,
    ) -> Fetched:
        """Request a URL with GET; see `request`."""
        return self.request("GET", url, headers=headers, on_redirect=on_redirect)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        on_redirect: Callable[[str], None] | None = None,
    ) -> Fetched:
        """Request a URL; an answer with any status but a redirect is returned.

        Args:
            on_redirect: called with the checked URL that a redirect leads to, before it is
                requested; what it raises is raised.

        Raises:
            AddressRefused: the URL, an address of its host or a redirect is not allowed.
            FetchTooLarge: the answer has too many bytes.
            FetchError: there was no answer, or not in time.
        """
        began = time.monotonic()
        target = checked_url(url, self._rules)
        with deadline(self._rules.max_seconds):
            for _ in range(self._rules.max_redirects + 1):
                try:
                    answer = self._once(method, target, headers, content, began)
                except (httpx2.HTTPError, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
                    raise _failed(target, error) from None
                except (httpcore2.TimeoutException, TimeoutError):
                    raise self._too_slow(target) from None
                if isinstance(answer, Fetched):
                    return answer
                target = answer
                if on_redirect is not None:
                    on_redirect(str(target))
        raise AddressRefused(
            f"{_shown(httpx2.URL(url))} redirects to {_shown(target)}, which is not followed: "
            "name the final address"
        )

    def _once(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        began: float,
    ) -> Fetched | httpx2.URL:
        """Request a URL once; return the answer, or where it redirects to."""
        with self._client.stream(method, url, headers=headers, content=content) as answer:
            location = answer.headers.get("location")
            if answer.is_redirect and location is not None:
                return checked_url(str(url.join(location)), self._rules)
            encoding = answer.headers.get("content-encoding", "").strip().lower()
            if encoding not in ENCODINGS:
                raise FetchError(f"{_shown(url)} answers in the encoding {encoding[:40]!r}")
            body = b"".join(self._parts(answer, url))
            lower = {name.lower(): value for name, value in answer.headers.items()}
            seconds = time.monotonic() - began
            return Fetched(str(url), answer.status_code, lower, body, seconds)

    def _parts(self, answer: httpx2.Response, url: httpx2.URL) -> Iterator[bytes]:
        """Yield the decompressed body, as long as it is within the limits."""
        most, taken, end = self._rules.max_bytes, 0, time.monotonic() + self._rules.max_seconds
        for part in answer.iter_bytes():
            taken += len(part)
            if taken > most:
                raise _too_large(url, most)
            if time.monotonic() > end:
                raise self._too_slow(url)
            yield part

    def _too_slow(self, url: httpx2.URL) -> FetchError:
        most = self._rules.max_seconds
        return FetchError(f"{_shown(url)} does not answer in time ({most:g} s in all)")


_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")
_PORTS: Final = {"http": 80, "https": 443}


class _Transport(httpx2.BaseTransport):
    """httpx2's transport, with a network backend of ours, which its own does not take."""

    def __init__(self, backend: GuardedBackend, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(), network_backend=backend
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.SyncByteStream)
        answer = self._pool.handle_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, request.url, self._max_bytes),
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    """The bytes of an answer as they are sent, which may decompress to nothing, without end."""

    def __init__(self, answer: httpcore2.Response, url: httpx2.URL, max_bytes: int) -> None:
        self._answer = answer
        self._url = url
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[bytes]:
        taken = 0
        with closing(self._answer):
            for part in self._answer.iter_stream():
                taken += len(part)
                if taken > self._max_bytes:
                    raise _too_large(self._url, self._max_bytes)
                yield part

    def close(self) -> None:
        self._answer.close()


def _shown(url: httpx2.URL) -> str:
    """A URL for messages: without user, password and query, which may hold secrets."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))[:200]


def _too_large(url: httpx2.URL, most: int) -> FetchTooLarge:
    return FetchTooLarge(f"{_shown(url)} answers more than {most:,} bytes")


def _failed(url: httpx2.URL, error: Exception) -> FetchError:
    why = _ERRNO.sub("", str(error)) or type(error).__name__
    return FetchError(f"{_shown(url)} cannot be requested: {why[0].lower()}{why[1:]}")
