"""Official image-search APIs, used with a key of yours: Brave, NAVER API HUB and SerpApi.

A key is read from the environment. It is sent to its service alone, and to nowhere that a redirect
leads; no message and no file holds it.
"""

from __future__ import annotations

import html
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from satchel.collect.fetching import retry_after
from satchel.collect.queries import Query
from satchel.collect.sources import Hit, Source, SourceContext
from satchel.errors import FetchError, NotPermitted, SearchFailed, SourceStopped, UsageError
from satchel.fetch.client import Fetched
from satchel.files import write_atomically

ATTEMPTS: Final = 4
FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 60.0
"""Seconds that a service may ask to wait; one that asks for more is left."""
Asked = tuple[dict[str, str], dict[str, str]]
"""Parameters and headers of a request."""
_TAG: Final = re.compile(r"<[^>]{0,100}>")


@dataclass(frozen=True, slots=True)
class Api:
    """One service.

    Attributes:
        name: for people.
        keys: environment variables that hold its key.
        url: of its endpoint.
        most: photos that one request names, at most.
        pause_s: seconds between two requests, which its plans allow.
        request: query, number of photos and keys → parameters and headers.
        hits: decoded answer → photos; raises KeyError, TypeError or AttributeError where it is not
            as the service's documentation has it.
    """

    name: str
    keys: tuple[str, ...]
    url: str
    most: int
    pause_s: float
    request: Callable[[Query, int, Sequence[str]], Asked]
    hits: Callable[[Any], Iterator[Hit]]


# -- Brave: api-dashboard.search.brave.com/api-reference/images/image_search ----------------------


def _ask_brave(query: Query, most: int, keys: Sequence[str]) -> Asked:
    country = "KR" if query.language == "ko" else "ALL"
    values = {"q": query.text, "count": str(most), "country": country, "spellcheck": "false"}
    return {**values, "search_lang": query.language}, {"X-Subscription-Token": keys[0]}


def _brave_hits(answer: Any) -> Iterator[Hit]:
    for one in answer["results"]:
        photo = one.get("properties") or {}
        thumbnail = (one.get("thumbnail") or {}).get("src")
        if photo.get("url"):
            yield Hit(photo["url"], one.get("url"), one.get("title"), thumbnail=thumbnail)


# -- NAVER API HUB: api.ncloud-docs.com/docs/naver-api-hub-search-image ---------------------------


def _ask_naver(query: Query, most: int, keys: Sequence[str]) -> Asked:
    headers = {"X-NCP-APIGW-API-KEY-ID": keys[0], "X-NCP-APIGW-API-KEY": keys[1]}
    return {"query": query.text, "display": str(most), "format": "json"}, headers


def _naver_hits(answer: Any) -> Iterator[Hit]:
    for one in answer["items"]:
        title = html.unescape(_TAG.sub("", one.get("title") or ""))
        if one.get("link"):
            yield Hit(one["link"], title=title or None, thumbnail=one.get("thumbnail"))


# -- SerpApi: serpapi.com/google-images-api -------------------------------------------------------


def _ask_serpapi(query: Query, _most: int, keys: Sequence[str]) -> Asked:
    values = {"engine": "google_images", "q": query.text, "hl": query.language}
    return {**values, "output": "json", "api_key": keys[0]}, {}


def _serpapi_hits(answer: Any) -> Iterator[Hit]:
    if "images_results" not in answer and "hasn't returned any results" in answer["error"]:
        return
    for one in answer["images_results"]:
        if one.get("original"):
            yield Hit(
                one["original"], one.get("link"), one.get("title"), thumbnail=one.get("thumbnail")
            )


APIS: Final[Mapping[str, Api]] = {
    "brave": Api(
        "Brave Search API",
        ("SATCHEL_BRAVE_KEY",),
        "https://api.search.brave.com/res/v1/images/search",
        200,
        1.0,
        _ask_brave,
        _brave_hits,
    ),
    "naver-api": Api(
        "NAVER API HUB",
        ("SATCHEL_NAVER_API_ID", "SATCHEL_NAVER_API_KEY"),
        "https://naverapihub.apigw.ntruss.com/search/v1/image",
        100,
        0.1,
        _ask_naver,
        _naver_hits,
    ),
    "serpapi": Api(
        "SerpApi",
        ("SATCHEL_SERPAPI_KEY",),
        "https://serpapi.com/search.json",
        100,
        1.0,
        _ask_serpapi,
        _serpapi_hits,
    ),
}


@contextmanager
def open_api(api: Api, context: SourceContext) -> Iterator[Source]:
    """Open a service.

    Raises:
        UsageError: a key is missing.
    """
    keys = [os.environ.get(name, "").strip() for name in api.keys]
    if missing := [name for name, key in zip(api.keys, keys, strict=True) if not key]:
        raise UsageError(
            f"expected your key for {api.name} in the environment: export {missing[0]}=…; it is "
            "not kept in satchel.toml, which backups and colleagues see"
        )
    yield ApiSource(api, keys, context)


@dataclass(slots=True)
class ApiSource:
    """A service with keys; a `satchel.collect.sources.Source`."""

    api: Api
    keys: Sequence[str] = field(repr=False)
    context: SourceContext
    sleep: Callable[[float], None] = time.sleep
    _answer: bytes = field(default=b"", repr=False)

    @property
    def pause_s(self) -> float:
        """Seconds between two searches."""
        return self.api.pause_s

    def search(self, query: Query, most: int) -> Sequence[Hit]:
        """Return the photos that the service names; see `Source.search`."""
        values, headers = self.api.request(query, min(most, self.api.most), self.keys)
        answer = self._ask(f"{self.api.url}?{urlencode(values)}", headers)
        self._answer = answer.body
        if answer.status in (401, 403):
            raise SourceStopped(
                f"{self.api.name} refuses the key ({answer.status}): check "
                f"{' and '.join('$' + name for name in self.api.keys)} and your plan"
            )
        if answer.status == 402:
            raise SourceStopped(
                f"{self.api.name} wants to be paid ({answer.status}): the quota may be used up; "
                "see your plan, then run this again"
            )
        if 400 <= answer.status < 500:
            raise SearchFailed(f"{self.api.name} does not take this query ({answer.status})")
        try:
            return list(self.api.hits(json.loads(answer.body)))[:most]
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise SourceStopped(
                f"{self.api.name} answers ({answer.status}) what is not understood "
                f"({type(error).__name__}): its API may have changed; Satchel needs an update"
            ) from None

    def save_answer(self, folder: Path) -> Sequence[Path]:
        """Write the last answer, without keys."""
        text = self._answer.decode("utf-8", "replace")
        for key in self.keys:
            text = text.replace(key, "[key]")
        path = folder / f"{self.api.name.lower().replace(' ', '-')}.json"
        write_atomically(path, text.encode())
        return [path]

    def _ask(self, url: str, headers: Mapping[str, str]) -> Fetched:
        """Request until there is an answer other than a fault or a request to wait."""
        why = down = ""
        for attempt in range(ATTEMPTS):
            wait = FIRST_WAIT_S * 2.0**attempt
            try:
                answer = self.context.client.get(
                    url,
                    {**self.context.headers, **headers, "Accept": "application/json"},
                    on_redirect=_refuse,
                )
            except NotPermitted as error:
                raise SourceStopped(f"{self.api.name} {error}") from None
            except FetchError as error:
                why, down = str(error), "this machine may have no network, or the service is down"
            else:
                if answer.status != 429 and answer.status < 500:
                    return answer
                self._answer = answer.body
                why = f"it answers {answer.status}"
                used_up = answer.status == 429
                down = "the quota may be used up" if used_up else "the service is down"
                wait = max(wait, retry_after(answer.headers.get("retry-after", "")) or 0.0)
            if wait > LONGEST_WAIT_S:
                raise SourceStopped(
                    f"{self.api.name} asks to wait for {wait:,.0f} seconds: {down}; run this "
                    "again later"
                )
            if attempt < ATTEMPTS - 1:
                self.sleep(wait)
        raise SourceStopped(
            f"{self.api.name} gave no answer in {ATTEMPTS} attempts ({why}): {down}; run this "
            "again later"
        )


def _refuse(_url: str) -> None:
    raise NotPermitted("redirects, which is not followed: the key is for it alone")
