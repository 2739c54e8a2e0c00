"""What strangers name is requested only where it is public, small and quick."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from satchel.errors import AddressRefused, FetchError, FetchTooLarge
from satchel.fetch.client import FetchClient
from satchel.fetch.rules import FetchRules, is_public

PUBLIC = FetchRules(http=True)
LOCAL = FetchRules(http=True, networks=("127.0.0.1",), max_bytes=100_000, max_seconds=2)
Answer = Callable[[socket.socket], None]


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """A server on this machine that gives each connection to `answer`; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65_536)
                        answer(connection)
                    except OSError:
                        pass  # the client has seen enough

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def said(*lines: str, body: bytes = b"") -> Answer:
    head = "\r\n".join(("HTTP/1.1 " + lines[0], *lines[1:], f"Content-Length: {len(body)}"))
    return lambda connection: connection.sendall(f"{head}\r\n\r\n".encode() + body)


def no_connection(*_: object) -> None:
    raise AssertionError("a connection was made")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/", "not a public address"),
        ("http://[::1]/", "not a public address"),
        ("http://[::ffff:127.0.0.1]/", "not a public address"),
        ("http://[::ffff:7f00:1]/", "not a public address"),
        ("http://2130706433/", "in its usual form"),
        ("http://0177.0.0.1/", "in its usual form"),
        ("http://0x7f.1/", "in its usual form"),
        ("http://0x7f000001/", "in its usual form"),
        ("http://127.1/", "in its usual form"),
        ("http://0/", "in its usual form"),
        ("http://0.0.0.0/", "not a public address"),
        ("http://169.254.169.254/latest/meta-data/", "not a public address"),
        ("http://[fe80::1%25eth0]/", "not a public address"),
        ("http://[64:ff9b::7f00:1]/", "not a public address"),
        ("http://[64:ff9b:1::1]/", "not a public address"),
        ("http://[2002:7f00:1::]/", "not a public address"),
        ("http://[::127.0.0.1]/", "not a public address"),
        ("http://10.0.0.1/", "not a public address"),
        ("http://100.64.0.1/", "not a public address"),
        ("http://192.168.0.1/", "not a public address"),
        ("http://224.0.0.1/", "not a public address"),
        ("http://[fd00::1]/", "not a public address"),
        ("http://localhost/", "not a public address"),
        ("http://LOCALHOST./", "has no address|not a public address"),
        ("http://１２７.0.0.1/", "in its usual form"),
        ("file:///etc/passwd", "expected an address with https or http"),
        ("gopher://example.com/", "expected an address with https or http"),
        ("ftp://example.com/", "expected an address with https or http"),
        ("//example.com/", "expected an address with https or http"),
        ("http:///path", "expected an address with a host"),
        ("http://user:secret@example.com/", "without user and password"),
        ("http://example.com:22/", "expected port 80, 443"),
        ("http://exa mple.com/", "has no address"),
        ("http://" + "a" * 3_000, "at most 2,000 characters"),
        ("", "expected an address with"),
    ],
)
def test_what_is_not_public_is_refused_before_anything_is_sent(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", no_connection)
    with FetchClient(PUBLIC) as client:
        for ask in (client.get, client.check):
            with pytest.raises(FetchError, match=reason) as raised:
                ask(url)
            assert "secret" not in str(raised.value)


def test_http_is_refused_unless_allowed() -> None:
    with (
        FetchClient(FetchRules()) as client,
        pytest.raises(AddressRefused, match="expected an address with https, got http"),
    ):
        client.get("http://example.com/")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%2", "0.0.0.0"],
)
def test_a_name_whose_address_is_not_public_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", no_connection)
    answers = ["203.0.114.7", address]  # one that is not public is enough
    with (
        FetchClient(PUBLIC, resolver=lambda *_: answers) as client,
        pytest.raises(AddressRefused, match=r"shop\.example \("),
    ):
        client.get("http://shop.example/")


def test_a_name_that_changes_its_address_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when the URL is checked, private when it is requested."""
    answers = [["203.0.114.7"], ["127.0.0.1"]]
    connected: list[object] = []

    def connect(address: object, *_: object, **__: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with FetchClient(PUBLIC, resolver=lambda *_: answers.pop(0)) as client:
        client.check("http://shop.example/")
        with pytest.raises(AddressRefused):
            client.get("http://shop.example/")
    assert connected == []
    with (
        FetchClient(PUBLIC, resolver=lambda *_: ["203.0.114.7"]) as client,
        pytest.raises(FetchError, match="cannot be requested"),
    ):
        client.get("http://shop.example/")
    assert connected == [("203.0.114.7", 80)]  # the address that was checked, not the name


def test_public_addresses_are_public() -> None:
    for address in ("8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"):
        assert is_public(ip_address(address))


def test_what_is_allowed_is_answered() -> None:
    with (
        server(said("200 OK", "X-Note: hello", body=b"found")) as port,
        FetchClient(LOCAL) as client,
    ):
        answer = client.request("POST", f"http://127.0.0.1:{port}/x?y", content=b"hello")
    assert (answer.status, answer.body, answer.headers["x-note"]) == (200, b"found", "hello")


@pytest.mark.parametrize("hops", [0, 3])
def test_a_redirect_to_a_private_address_is_refused(hops: int) -> None:
    rules = FetchRules(http=True, networks=("127.0.0.1",), max_redirects=hops)
    with (
        server(said("302 Found", "Location: http://169.254.169.254/")) as port,
        FetchClient(rules) as client,
        pytest.raises(AddressRefused, match="not a public address"),
    ):
        client.get(f"http://127.0.0.1:{port}/")


def test_redirects_are_followed_as_far_as_allowed() -> None:
    with server(said("302 Found", "Location: /again?secret=1")) as port:
        for hops in (0, 2):
            rules = FetchRules(http=True, networks=("127.0.0.0/8",), max_redirects=hops)
            with (
                FetchClient(rules) as client,
                pytest.raises(AddressRefused, match="/again, which is not followed"),
            ):
                client.get(f"http://127.0.0.1:{port}/")


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(65_536))


def bomb(connection: socket.socket) -> None:
    body = gzip.compress(bytes(50_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def empty_blocks(connection: socket.socket) -> None:
    """Compressed bytes without end that decompress to nothing."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n")
    compressor = zlib.compressobj()
    connection.sendall(compressor.compress(b"") + compressor.flush(zlib.Z_SYNC_FLUSH))
    while True:
        connection.sendall(compressor.flush(zlib.Z_SYNC_FLUSH) or b"\x00\x00\x00\xff\xff" * 9_999)


@pytest.mark.parametrize("answer", [endless, bomb, empty_blocks])
def test_an_answer_without_end_is_cut_off(answer: Answer) -> None:
    with (
        server(answer) as port,
        FetchClient(LOCAL) as client,
        pytest.raises(FetchTooLarge, match="more than 100,000 bytes"),
    ):
        client.get(f"http://127.0.0.1:{port}/")


def dripping(head: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: time.sleep(5),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nX: "),
    ],
)
def test_an_answer_that_comes_slowly_is_not_waited_for(answer: Answer) -> None:
    rules = FetchRules(http=True, networks=("127.0.0.1",), max_seconds=0.5)
    began = time.monotonic()
    with (
        server(answer) as port,
        FetchClient(rules) as client,
        pytest.raises(FetchError, match="in time"),
    ):
        client.get(f"http://127.0.0.1:{port}/")
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said("200 OK", "Content-Encoding: compress", body=b"x"), "encoding 'compress'"),
        (said("200 OK", "Content-Encoding: gzip, gzip", body=b"x"), "encoding 'gzip, gzip'"),
        (said("200 OK", "Content-Encoding: gzip", body=b"no gzip"), "cannot be requested"),
        (lambda connection: connection.sendall(b"SSH-2.0-x\r\n"), "cannot be requested"),
        (lambda _: None, "cannot be requested"),
    ],
)
def test_what_is_no_answer_is_an_error(answer: Answer, reason: str) -> None:
    with (
        server(answer) as port,
        FetchClient(LOCAL) as client,
        pytest.raises(FetchError, match=reason),
    ):
        client.get(f"http://127.0.0.1:{port}/")


def test_a_name_without_an_address_is_said_so() -> None:
    def none(*_: object) -> list[str]:
        raise socket.gaierror

    with (
        FetchClient(PUBLIC, resolver=none) as client,
        pytest.raises(FetchError, match=r"'shop\.example' has no address"),
    ):
        client.get("http://shop.example/")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with server(said("204 No Content")) as port, FetchClient(LOCAL) as client:
        assert client.get(f"http://127.0.0.1:{port}/").status == 204


def test_cookies_are_not_kept() -> None:
    with (
        server(said("200 OK", "Set-Cookie: a=b", "Connection: close")) as port,
        FetchClient(LOCAL) as client,
    ):
        client.get(f"http://127.0.0.1:{port}/")
        assert not list(client._client.cookies.jar)
