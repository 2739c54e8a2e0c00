"""How many identifications an address may request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import count, repeat

import pytest
from fastapi import FastAPI

from satchel.web.addresses import counted_as
from support.sockets import Address, address_of, connected, identify_request, rest

PER_MINUTE = 3
PROXY = "127.0.0.1"
STRANGER = "127.0.0.2"


@pytest.fixture(scope="module")
def site(
    app_with: Callable[..., FastAPI],
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[Address]:
    with run_server(app_with(identifications_per_minute=PER_MINUTE, proxies=[PROXY])) as url:
        yield address_of(url)


def ask(site: Address, source: str, request: bytes) -> bytes:
    with connected(site, source) as connection:
        connection.sendall(request)
        return rest(connection)


def refused(site: Address, source: str, requests: Iterable[bytes]) -> bytes:
    """Request until it is refused; the refusal.

    Where a minute ends in between, some more than the limit are allowed.
    """
    for number, request in enumerate(requests):
        answer = ask(site, source, request)
        if not answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 303 ")):
            assert number >= PER_MINUTE
            return answer
        assert number < 3 * PER_MINUTE
    raise AssertionError


def test_who_requests_too_many_learns_when_to_come_back(site, draw):
    request = identify_request(draw("Z-9"))
    head, _, body = refused(site, STRANGER, repeat(request)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    (wait,) = [line for line in head.lower().splitlines() if line.startswith(b"retry-after:")]
    assert 1 <= int(wait.partition(b":")[2]) <= 60
    assert b"urn:satchel:problem:too-many-requests" in body
    other = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert ask(site, STRANGER, other).startswith(b"HTTP/1.1 200 ")  # only identifications count
    assert ask(site, "127.0.0.3", request).startswith(b"HTTP/1.1 200 ")  # each has its own


def test_people_are_asked_to_wait_in_their_language(site, draw):
    page = identify_request(draw("Z-9"), "Accept: text/html", "Accept-Language: ko")
    page = page.replace(b"/api/v1/identify", b"/identify")
    assert "짧은 시간에 너무 많은 상품을".encode() in refused(site, "127.0.0.5", repeat(page))


def test_behind_a_proxy_it_is_the_client_that_counts(site, draw):
    ours = identify_request(draw("Z-9"), "X-Forwarded-For: 198.51.100.7")
    other = identify_request(draw("Z-9"), "X-Forwarded-For: 198.51.100.7, 198.51.100.8")
    assert refused(site, PROXY, repeat(ours)).startswith(b"HTTP/1.1 429 ")
    assert ask(site, PROXY, other).startswith(b"HTTP/1.1 200 ")  # the last one is the client's


def test_a_stranger_who_names_another_address_is_not_believed(site, draw):
    forged = (
        identify_request(draw("Z-9"), f"X-Forwarded-For: 203.0.113.{number}") for number in count()
    )
    assert refused(site, "127.0.0.4", forged).startswith(b"HTTP/1.1 429 ")


def test_programs_on_the_same_machine_are_not_limited(site, draw):
    request = identify_request(draw("Z-9"))
    for _ in range(3 * PER_MINUTE):
        assert ask(site, PROXY, request).startswith(b"HTTP/1.1 200 ")


def test_addresses_of_one_ipv6_network_count_as_one():
    assert counted_as("2001:db8::1") == counted_as("2001:db8::ffff:ffff:ffff:ffff")
    assert counted_as("2001:db8::1") != counted_as("2001:db8:0:1::1")
    assert counted_as("::ffff:192.0.2.1") == counted_as("192.0.2.1") == "192.0.2.1"
    assert counted_as("no address") == "no address"
