"""Requests by hand: parts of them, late, or cut off."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

Address = tuple[str, int]
TIMEOUT_S = 60
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
IDLE_POST = (
    b"POST /api/v1/identify HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
)
"""An identification without its body."""


def address_of(url: str) -> Address:
    """Where a server listens."""
    parsed = httpx.URL(url)
    assert parsed.port is not None
    return parsed.host, parsed.port


@contextmanager
def connected(site: Address, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A connection from an address of this machine; Linux has all of 127.0.0.0/8."""
    try:
        connection = socket.create_connection(site, TIMEOUT_S, source_address=(source, 0))
    except OSError as error:
        pytest.skip(f"this system has no address {source}: {error}")
    with connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def identify_request(photo: bytes, *headers: str) -> bytes:
    """An identification of one photo, after whose answer the connection is closed."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
        + photo
        + b"\r\n--x--\r\n"
    )
    lines = (
        "POST /api/v1/identify HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    )
    return "\r\n".join([*lines, "", ""]).encode() + body
