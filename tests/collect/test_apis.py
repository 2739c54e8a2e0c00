"""Adapters of official APIs, on a local server with answers of our own making."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from satchel.collect.apis import APIS, ATTEMPTS, ApiSource
from satchel.collect.permissions import Permissions
from satchel.collect.queries import Query
from satchel.collect.rules import CollectRules
from satchel.collect.sources import Hit, SourceContext, open_source, source_names
from satchel.errors import SearchFailed, SourceStopped, UsageError
from satchel.fetch.client import FetchClient
from satchel.fetch.rules import FetchRules

KEYS = ("secret-one", "secret-two")
PHOTO, PAGE, SMALL = "https://a.test/1.jpg", "https://a.test/page", "https://a.test/s.jpg"
ANSWERS: dict[str, Any] = {
    "brave": {
        "type": "images",
        "results": [
            {
                "title": "Saddle",
                "url": PAGE,
                "thumbnail": {"src": SMALL},
                "properties": {"url": PHOTO, "width": 900},
            },
            {"title": "no photo", "url": PAGE, "properties": {}},
            {"title": "Bare", "url": PAGE, "thumbnail": None, "properties": {"url": PHOTO}},
        ],
    },
    "naver-api": {
        "total": 2,
        "items": [
            {
                "title": "<b>새들백</b> &amp; 끈",
                "link": PHOTO,
                "thumbnail": SMALL,
                "sizewidth": "9",
            },
            {"title": "", "link": ""},
        ],
    },
    "serpapi": {
        "search_metadata": {"json_endpoint": f"https://serpapi.com/?api_key={KEYS[0]}"},
        "images_results": [
            {"original": PHOTO, "link": PAGE, "title": "Saddle", "thumbnail": SMALL},
            {"link": PAGE, "title": "only a thumbnail"},
        ],
    },
}
EXPECTED = {
    "brave": [Hit(PHOTO, PAGE, "Saddle", None, SMALL), Hit(PHOTO, PAGE, "Bare")],
    "naver-api": [Hit(PHOTO, None, "새들백 & 끈", None, SMALL)],
    "serpapi": [Hit(PHOTO, PAGE, "Saddle", None, SMALL)],
}


@dataclass
class Service:
    """Answers what it is told, in order; the last answer again and again."""

    url: str = ""
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)

    def will_answer(
        self, status: int, body: bytes = b"{}", headers: dict[str, str] | None = None
    ) -> None:
        self.answers = [(status, body, headers or {})]


@pytest.fixture
def service() -> Iterator[Service]:
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            told.asked.append((dict(parse_qsl(urlsplit(self.path).query)), dict(self.headers)))
            at = min(len(told.asked), len(told.answers)) - 1
            status, body, headers = told.answers[at]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/search"
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def opened(name: str, service: Service, folder: Path) -> Iterator[tuple[ApiSource, list[float]]]:
    waited: list[float] = []
    rules = FetchRules(http=True, networks=["127.0.0.1"], max_redirects=5)
    with FetchClient(rules) as client:
        headers = {"User-Agent": "Satchel/0 (+me@example.com)"}
        context = SourceContext(
            folder, CollectRules(), client, Permissions(client, headers), headers
        )
        api = replace(APIS[name], url=service.url)
        yield ApiSource(api, KEYS[: len(api.keys)], context, waited.append), waited


@pytest.mark.parametrize("name", sorted(APIS))
def test_answers_are_read(name: str, service: Service, tmp_path: Path) -> None:
    service.will_answer(200, body=json.dumps(ANSWERS[name]).encode())
    with opened(name, service, tmp_path) as (source, _):
        assert source.search(Query("S1", "디올 Saddle", language="ko"), 30) == EXPECTED[name]
    values, headers = service.asked[0]
    sent = {"brave": "q", "naver-api": "query", "serpapi": "q"}[name]
    assert values[sent] == "디올 Saddle"
    assert headers["User-Agent"].startswith("Satchel/")
    if name == "serpapi":
        assert values["api_key"] == KEYS[0]
    else:
        assert KEYS[0] in headers.values()
        assert not set(KEYS) & set(values.values())


def test_a_service_without_answers_for_a_query_finds_nothing(
    service: Service, tmp_path: Path
) -> None:
    nothing = {"error": "Google hasn't returned any results for this query."}
    service.will_answer(200, body=json.dumps(nothing).encode())
    with opened("serpapi", service, tmp_path) as (source, _):
        assert source.search(Query("S1", "S1"), 30) == []


def test_a_service_that_asks_to_wait_is_waited_for(service: Service, tmp_path: Path) -> None:
    service.answers = [
        (429, b"", {"Retry-After": "7"}),
        (503, b"", {}),
        (200, json.dumps(ANSWERS["brave"]).encode(), {}),
    ]
    with opened("brave", service, tmp_path) as (source, waited):
        assert len(source.search(Query("S1", "S1"), 30)) == 2
    assert waited == [7.0, 4.0]


@pytest.mark.parametrize(
    ("status", "headers", "message", "requests"),
    [
        (429, {"Retry-After": "86400"}, "86,400 seconds", 1),
        (429, {}, "no answer in 4 attempts .*the quota may be used up", ATTEMPTS),
        (402, {}, "the quota may be used up", 1),
        (500, {}, "it answers 500.: the service is down", ATTEMPTS),
        (401, {}, "refuses the key", 1),
        (302, {"Location": "https://example.com/"}, "redirects", 1),
        (200, {}, "not understood", 1),
    ],
)
def test_a_service_that_does_not_answer_is_left(
    service: Service,
    tmp_path: Path,
    status: int,
    headers: dict[str, str],
    message: str,
    requests: int,
) -> None:
    service.will_answer(status, headers=headers)
    with (
        opened("brave", service, tmp_path) as (source, _),
        pytest.raises(SourceStopped, match=message) as stopped,
    ):
        source.search(Query("S1", "S1"), 30)
    assert len(service.asked) == requests
    assert not any(key in str(stopped.value) for key in KEYS)


def test_no_network_says_nothing_of_a_quota(service: Service, tmp_path: Path) -> None:
    service.url = "http://127.0.0.1:1025/search"  # nothing listens there
    with (
        opened("brave", service, tmp_path) as (source, _),
        pytest.raises(SourceStopped, match="may have no network") as stopped,
    ):
        source.search(Query("S1", "S1"), 30)
    assert "quota" not in str(stopped.value)


def test_a_query_that_is_refused_fails_alone(service: Service, tmp_path: Path) -> None:
    service.will_answer(422)
    with opened("brave", service, tmp_path) as (source, _), pytest.raises(SearchFailed):
        source.search(Query("S1", "S1"), 30)


def test_no_file_and_no_representation_holds_a_key(service: Service, tmp_path: Path) -> None:
    service.will_answer(200, body=json.dumps(ANSWERS["serpapi"]).encode())
    with opened("serpapi", service, tmp_path) as (source, _):
        source.search(Query("S1", "S1"), 30)
        (path,) = source.save_answer(tmp_path)
        assert "images_results" in path.read_text()
        assert KEYS[0] not in path.read_text()
        assert KEYS[0] not in repr(source)


def test_a_missing_key_is_named(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATCHEL_NAVER_API_ID", "id")
    monkeypatch.delenv("SATCHEL_NAVER_API_KEY", raising=False)
    with (
        opened("naver-api", service, tmp_path) as (source, _),
        pytest.raises(UsageError, match="export SATCHEL_NAVER_API_KEY"),
        open_source("naver-api", source.context),
    ):
        pass
    assert set(APIS) <= set(source_names(Path("/nonexistent")))
