"""What is logged and counted of requests: real servers, their log read back."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from satchel.web.logs import REQUESTS, JsonFormatter, LineFormatter, request_id
from support.sockets import address_of, connected, identify_request

Figures = dict[tuple[str, ...], float]
Logged = Callable[[], list[dict[str, object]]]
SOON_S = 30.0


@pytest.fixture(scope="module")
def site(
    app_with: Callable[..., FastAPI],
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[httpx.Client]:
    app = app_with(metrics=["127.0.0.1"])

    def broken() -> None:
        raise ZeroDivisionError("a fault\nin two lines")

    app.add_api_route("/broken", broken)
    # a connection for each request: the server may close a kept one just when it is used again
    limits = httpx.Limits(max_keepalive_connections=0)
    with run_server(app) as url, httpx.Client(base_url=url, timeout=60, limits=limits) as client:
        yield client


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """A function that gives the figures of all requests logged so far."""
    caplog.set_level(logging.INFO, REQUESTS)
    return lambda: [vars(one)["figures"] for one in caplog.records if one.name == REQUESTS]


def at_last(logged: Logged, path: str) -> dict[str, object]:
    """The figures of the one request for a path; the log is written after the answer is sent."""
    end = time.monotonic() + SOON_S
    while not (found := [entry for entry in logged() if entry["path"] == path]):
        assert time.monotonic() < end
        time.sleep(0.01)
    (entry,) = found
    return entry


def figures(site: httpx.Client) -> Figures:
    """Every figure under its name and the values of its labels."""
    answer = site.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# -- log ----------------------------------------------------------------------------------------


def test_a_request_is_logged_without_what_was_sent(site, draw, logged, caplog):
    files = [("photos", ("secret-name.jpg", draw("Z-9")))]
    answer = site.post("/api/v1/identify?brand=Secret-brand", files=files)
    site.get("/products/%EA%B0%80%0D%0A")
    entry = at_last(logged, "/api/v1/identify")
    assert entry["client"] == "127.0.0.1"
    assert entry["method"] == "POST"
    assert entry["status"] == answer.status_code
    assert entry["bytes"] == len(answer.content)
    assert 0 < float(str(entry["seconds"])) < 60
    assert at_last(logged, "/products/%EA%B0%80%0D%0A")["status"] == 404
    assert "ecret" not in caplog.text


def test_who_leaves_in_the_middle_is_logged(site, draw, logged):
    with connected(address_of(str(site.base_url))) as connection:
        connection.sendall(identify_request(draw("Z-9"))[:300])
    assert at_last(logged, "/api/v1/identify")["status"] in (400, 499)


def test_an_error_is_logged_with_the_id_that_its_answer_has(site):
    seen: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(JsonFormatter().format(record))

    handler = Handler()
    logging.getLogger().addHandler(handler)
    try:
        answer = site.get("/broken")
        end = time.monotonic() + SOON_S
        while not any("exception" in line for line in seen):
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        logging.getLogger().removeHandler(handler)
    assert answer.status_code == 500
    identity = answer.headers["x-request-id"]
    assert identity in answer.json()["detail"]
    (entry,) = [entry for entry in map(json.loads, seen) if "exception" in entry]
    assert entry["request_id"] == identity
    assert "ZeroDivisionError: a fault" in entry["exception"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0123456789abcdef", True),
        ("a-b_c.d-e", True),
        ("short", False),
        ("a" * 65, False),
        ("with space 123", False),
        ("newline%0A1234", False),
        ('"quotes"123', False),
    ],
)
def test_an_id_of_the_proxy_is_kept_where_it_is_harmless(site, given, kept):
    answered = site.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"]
    assert (answered == given) is kept
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", answered)


def record_of(message: str, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("satchel.x", logging.WARNING, "", 0, message, None, None)
    record.created = 1_800_000_000.25
    record.msecs = 250
    vars(record).update(extra)
    return record


def test_a_line_cannot_be_forged():
    line = LineFormatter().format(record_of("bad\n2027-01-15T08:00:00Z ERROR \x1b[31mforged"))
    assert line == (
        "2027-01-15T08:00:00.250Z WARNING bad\\n2027-01-15T08:00:00Z ERROR \\x1b[31mforged"
    )


def test_json_has_a_request_on_one_line_with_its_figures():
    token = request_id.set("0123456789abcdef")
    try:
        line = JsonFormatter().format(record_of("가\nb", figures={"status": 200}))
    finally:
        request_id.reset(token)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "warning",
        "logger": "satchel.x",
        "message": "가\nb",
        "request_id": "0123456789abcdef",
        "status": 200,
    }


# -- metrics ------------------------------------------------------------------------------------


def test_requests_and_identifications_are_counted(site, draw):
    before = figures(site)
    files = [("photos", ("a.jpg", draw("Z-9")))]
    verdict = site.post("/api/v1/identify", files=files).json()["verdict"]
    site.get("/nothing/1")
    site.get("/nothing/2")
    site.request("STRANGE", "/")
    after = figures(site)

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    requests = "satchel_http_requests_total"
    assert grown(requests, "/api/v1/identify", "200", "POST") == 1
    assert grown(requests, "", "404", "GET") == 2  # a path is no label: there are too many
    assert sum(value for key, value in after.items() if key[0] == requests and "other" in key) == 1
    assert grown("satchel_identifications_total", verdict) == 1
    assert grown("satchel_identification_seconds_count") == 1
    assert grown(requests, "/metrics", "200", "GET") == 1
    assert after[("satchel_http_requests_in_progress",)] == 1  # this one
    assert after[("satchel_catalogue_products",)] == 4
    assert after[("satchel_catalogue_indexed",)] == 8
    assert after[("satchel_connections",)] >= 1
    assert ("satchel_connections_closed_total", "slow") in after


def test_metrics_are_for_those_that_the_settings_list(client, site):
    assert client.get("/metrics").status_code == 404
    for address, status in (("203.0.113.9", 404), ("127.0.0.1", 200)):
        assert site.get("/metrics", headers={"x-forwarded-for": address}).status_code == status
