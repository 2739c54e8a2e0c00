"""A web site of ours that has photos and all the ways in which sites fail."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from zlib import crc32

from conftest import jpeg

SHAPES = ("disc", "box", "cross", "ring", "bars")


class PhotoSite:
    """What the site does, and which paths were requested how often.

    Attributes:
        robots: text of robots.txt; None for 404.
        tdmrep: text of tdmrep.json, likewise.
        slow_s: seconds before each photo.
        pages: path → what is answered there, with its content type.
        headers: path of a page → further headers of its answer.
    """

    def __init__(self) -> None:
        self.robots: str | None = "User-agent: *\nDisallow: /private/\n"
        self.tdmrep: str | None = None
        self.slow_s = 0.0
        self.pages: dict[str, tuple[bytes, str]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.requests: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.times: list[float] = []
        self.cookies = 0
        self.url = ""
        self.lock = threading.Lock()
        self.closed = threading.Event()

    def photo(self, name: str) -> str:
        """URL of a photo; each name has pixels of its own."""
        return f"{self.url}/photos/{name}.jpg"


def photo_bytes(name: str) -> bytes:
    number = crc32(name.encode())
    return jpeg(SHAPES[number % len(SHAPES)], seed=number)


class SiteHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: PhotoSite

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        site = self.site
        with site.lock:
            site.requests[path] += 1
            site.agents.add(self.headers.get("User-Agent", ""))
            site.cookies += "Cookie" in self.headers
            if path.startswith("/photos/"):
                site.times.append(time.monotonic())
        try:
            self._answer(path)
        except OSError:
            self.close_connection = True

    def handle(self) -> None:
        with suppress(ConnectionResetError):  # the client was killed
            super().handle()

    def _answer(self, path: str) -> None:
        site = self.site
        if path in site.pages:
            body, kind = site.pages[path]
            self._send(200, body, kind, **site.headers.get(path, {}))
            return
        match path.split("/")[1:]:
            case ["robots.txt"]:
                self._text(site.robots)
            case [".well-known", "tdmrep.json"]:
                self._text(site.tdmrep)
            case ["photos" | "private" | "reserved", name]:
                time.sleep(site.slow_s)
                self._send(200, photo_bytes(name), "image/jpeg")
            case ["same", _]:
                self._send(200, photo_bytes("same"), "image/jpeg")
            case ["noai", _]:
                self._send(200, photo_bytes("x"), "image/jpeg", **{"X-Robots-Tag": "noai"})
            case ["tdm", _]:
                self._send(200, photo_bytes("x"), "image/jpeg", **{"TDM-Reservation": "1"})
            case ["broken", _]:
                self._send(200, photo_bytes("x")[:300], "image/jpeg")
            case ["page", _]:
                self._send(200, b"<!doctype html><p>Sold", "image/jpeg")
            case ["captcha", _]:
                self._send(200, b"<html>Please solve this captcha", "text/html")
            case ["forbidden", _]:
                self._send(403, b"no", "text/plain")
            case ["busy-once", name] if site.requests[path] == 1:
                self._send(429, b"", "text/plain", **{"Retry-After": "1"})
            case ["busy-once", name]:
                self._send(200, photo_bytes(name), "image/jpeg")
            case ["busy", _]:
                self._send(429, b"", "text/plain", **{"Retry-After": "7200"})
            case ["fault", _]:
                self._send(500, b"", "text/plain")
            case ["moved", name]:
                self._send(302, b"", "text/plain", Location=f"/photos/{name}")
            case ["moved-private", name]:
                self._send(302, b"", "text/plain", Location=f"/private/{name}")
            case ["moved-inside", _]:
                self._send(302, b"", "text/plain", Location="http://169.254.169.254/a.jpg")
            case ["bomb", _]:
                packed = gzip.compress(bytes(20_000_000), 1)
                self._send(200, packed, "image/jpeg", **{"Content-Encoding": "gzip"})
            case ["endless", _]:
                self._endless()
            case _:
                self._send(404, b"none", "text/plain")

    def _text(self, text: str | None) -> None:
        self._send(404 if text is None else 200, (text or "").encode(), "text/plain")

    def _send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Set-Cookie": "a=b", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(b"\xff\xd8\xff")
        for _ in range(2_000):
            self.wfile.write(b"\0" * 65_536)
        self.close_connection = True


@contextmanager
def photo_site(
    site: PhotoSite | None = None, answers: type[SiteHandler] = SiteHandler
) -> Iterator[PhotoSite]:
    """Run the site on this machine."""
    site = site or PhotoSite()
    handler = type("Handler", (answers,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.closed.set()
        server.shutdown()
        server.server_close()
