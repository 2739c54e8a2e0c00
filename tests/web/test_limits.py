"""How large requests may be: every route, declared and streamed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import Message, Receive, Scope, Send

from satchel.identify import MAX_ITEM_PHOTOS
from satchel.photo_header import PhotoLimits
from satchel.web.app import UPLOADS, URL_LISTS
from satchel.web.middleware.body_limit import (
    LIST_BYTES,
    MAX_FORM_FIELDS,
    MAX_FORM_FILES,
    SMALL_BYTES,
    BodyLimit,
)
from satchel.web.problems import Refusal
from support.sockets import IDLE_POST, address_of, connected, identify_request, rest

PHOTO_BYTES = 100_000
UPLOAD_BYTES = MAX_ITEM_PHOTOS * PHOTO_BYTES + SMALL_BYTES
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
MULTIPART_TYPE = "multipart/form-data; boundary=x"
LOOK_ALIKES = "/api/v1/look-alikes/1"
EDITS = ("columns", "rename", "merge", "delete", "undo")
PAGE_EDITS = ("edit", "rename", "merge", "delete", "undo")
READ_BODIES = {  # what the body of each route that reads one is
    "/api/v1/look-alikes/{group}": JSON_TYPE,
    "/api/v1/feedback": JSON_TYPE,
    "/feedback": FORM_TYPE,
    "/feedback/other": FORM_TYPE,
    "/cases/{token}": FORM_TYPE,
    "/cases/{token}/remove": FORM_TYPE,
    **dict.fromkeys((f"/api/v1/edits/{one}" for one in EDITS), JSON_TYPE),
    **dict.fromkeys((f"/catalogue/{one}" for one in PAGE_EDITS), FORM_TYPE),
    **dict.fromkeys(
        (f"/api/v1/collections/{one}" for one in ("decide", "undo", "urls")), JSON_TYPE
    ),
    **dict.fromkeys((f"/collections/{one}" for one in ("decide", "paste", "undo")), FORM_TYPE),
    "/review/decide": FORM_TYPE,
    "/review/undo": FORM_TYPE,
    "/example": FORM_TYPE,
    "/review/grid/decide": FORM_TYPE,
    "/review/grid/undo": FORM_TYPE,
    "/review/look-alikes/decide": FORM_TYPE,
    "/review/look-alikes/undo": FORM_TYPE,
    "/jobs/retry": FORM_TYPE,
    "/jobs/cancel": FORM_TYPE,
    "/identify": MULTIPART_TYPE,
    "/share": MULTIPART_TYPE,
    "/share/identify": FORM_TYPE,
    "/api/v1/identify": MULTIPART_TYPE,
}
NO_BODIES = {"/api/v1/jobs/{job}/retry", "/api/v1/jobs/{job}/cancel"}  # an unread one costs nothing


@pytest.fixture(scope="module")
def app(app_with: Callable[..., FastAPI]) -> FastAPI:
    """An application that takes photos of 100,000 bytes."""
    return app_with(photos={"max_bytes": PHOTO_BYTES})


@pytest.fixture(scope="module")
def site(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[httpx.Client]:
    with run_server(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path of the router, and some that it does not have."""
    found = [
        (method, (route.path or "").replace("{group}", "1").replace(":path", ""))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ("GET", "POST")
    ]
    return [*found, ("POST", "/static/satchel.css"), ("POST", "/nothing"), ("PUT", "/identify")]


def most_bytes(path: str) -> int:
    """Return the bytes that a path takes."""
    return UPLOAD_BYTES if path in UPLOADS else LIST_BYTES if path in URL_LISTS else SMALL_BYTES


def declared(site: httpx.Client, method: str, path: str, size: int | str, *headers: str) -> bytes:
    """Answer to a request that declares a body and sends none of it."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {size}", *headers]
    with socket.create_connection((site.base_url.host, site.base_url.port), 60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.makefile("rb").read()


def streamed(site: httpx.Client, path: str, kind: str, begin: bytes, size: int) -> httpx.Response:
    """Answer to a chunked body of so many bytes, or to as much of it as the server takes."""

    def chunks() -> Iterator[bytes]:
        yield begin
        left = size - len(begin)
        while left > 0:
            yield b"a" * min(left, 8192)
            left -= 8192

    return site.post(path, content=chunks(), headers={"content-type": kind})


# -- bodies -------------------------------------------------------------------------------------


def test_every_route_refuses_a_body_that_declares_too_much(app, site):
    table = routes(app)
    assert len(table) > 20
    for method, path in table:
        most = most_bytes(path)
        answer = declared(site, method, path, most + 1)
        assert answer.startswith(b"HTTP/1.1 413 "), (method, path)
        assert b"connection: close" in answer.lower()
        if method != "HEAD":
            assert f"at most {most:,} bytes".encode() in answer


def test_every_route_that_reads_a_body_counts_it(app, site):
    paths = {
        route.path for route in iter_route_contexts(app.routes) if "POST" in (route.methods or ())
    }
    assert paths - NO_BODIES == set(READ_BODIES)  # a new route: say above what its body is
    for path, kind in READ_BODIES.items():
        begin = (
            b""
            if path not in UPLOADS
            else (b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n')
        )
        most = most_bytes(path)
        with suppress(httpx.TransportError):  # closed before this side had sent all of it
            answer = streamed(site, path.replace("{group}", "1"), kind, begin, most + 1)
            assert answer.status_code == 413, path
            slug = "upload-too-large" if path in UPLOADS else "request-too-large"
            assert answer.json()["type"] == f"urn:satchel:problem:{slug}"


def test_a_body_of_exactly_the_limit_is_read(site):
    text = b'{"choice": "confirm", "by": "'
    full = text + b"a" * (SMALL_BYTES - len(text) - 2) + b'"}'
    assert len(full) == SMALL_BYTES
    answer = site.post(LOOK_ALIKES, content=full, headers={"content-type": JSON_TYPE})
    assert answer.status_code == 422
    assert "body.by" in answer.json()["detail"]


def test_a_refusal_says_what_it_is_about(site):
    small = declared(site, "POST", LOOK_ALIKES, SMALL_BYTES + 1)
    assert b"urn:satchel:problem:request-too-large" in small
    assert b"photo" not in small
    large = declared(site, "POST", "/api/v1/identify", UPLOAD_BYTES + 1)
    assert b"urn:satchel:problem:upload-too-large" in large
    assert b"for all photos together" in large
    for language, words in (("en", "This is too much at once"), ("ko", "한 번에 보낸 내용이")):
        headers = ("Accept: text/html", f"Accept-Language: {language}")
        page = declared(site, "POST", "/review/decide", SMALL_BYTES + 1, *headers)
        assert words.encode() in page


@pytest.mark.parametrize("length", ["9" * 20, "9" * 5000, "-1", "1e9", "0x10", "", "1, 2", "٣"])
def test_strange_lengths_are_no_inside_error(site, length):
    answer = declared(site, "POST", "/api/v1/identify", length)
    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 ")), answer[:80]


def test_uploads_have_the_limit_that_they_had(site, draw):
    photo = draw("Z-9")
    full = photo + bytes(PHOTO_BYTES - len(photo))  # after a JPEG's end: read and passed over
    files = [("photos", ("a.jpg", full))] * MAX_ITEM_PHOTOS
    assert site.post("/api/v1/identify", files=files).status_code == 200
    too_large = site.post("/api/v1/identify", files=[("photos", ("a.jpg", full + b"a"))])
    assert too_large.status_code == 413
    assert too_large.json()["photo"] == 1


PART = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n'


def test_the_upload_that_arrives_longest_makes_room(app_with, run_server, draw, monkeypatch):
    """Whoever sends much and then slowly locks nobody out, and gets 503 at once."""
    monkeypatch.setattr("satchel.web.middleware.body_limit.RECEIVED_BYTES", 0)  # one upload's
    with run_server(app_with(photos={"max_bytes": PHOTO_BYTES})) as url:
        site = address_of(url)
        head = IDLE_POST.replace(b"100000", b"%d" % UPLOAD_BYTES)
        with connected(site) as first, connected(site) as second:
            for slow in (first, second):
                slow.sendall(head + PART + bytes(UPLOAD_BYTES // 2))
            refused = rest(first)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"urn:satchel:problem:busy" in refused
            assert b"retry-after: 5" in refused.lower()
            with connected(site) as user:
                user.sendall(identify_request(draw("Z-9") + bytes(50_000)))
                assert rest(user).startswith(b"HTTP/1.1 200 ")


def test_an_upload_that_is_being_answered_is_not_dropped(monkeypatch):
    monkeypatch.setattr("satchel.web.middleware.body_limit.RECEIVED_BYTES", 0)
    photos = PhotoLimits(max_bytes=PHOTO_BYTES)

    async def trial() -> None:
        answering, answer = asyncio.Event(), asyncio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive()).get("more_body"):
                pass
            answering.set()
            await answer.wait()

        async def upload(size: int) -> None:
            async def receive() -> Message:
                return {"type": "http.request", "body": bytes(size)}

            await limited({"type": "http", "path": "/up", "headers": []}, receive, dropped)

        async def dropped(message: Message) -> None:
            raise AssertionError(message)

        limited = BodyLimit(application, photos=photos, uploads=["/up"])
        first = asyncio.create_task(upload(UPLOAD_BYTES))
        await answering.wait()
        with pytest.raises(Refusal, match="expected fewer uploads at once"):
            await upload(1)
        answer.set()
        await first
        await upload(UPLOAD_BYTES)  # all of the room is there again

    asyncio.run(trial())


# -- parts of forms, headers --------------------------------------------------------------------


def test_parts_of_an_upload_are_counted(site, draw):
    photo = ("photos", ("a.jpg", draw("Z-9")))
    few = {f"field{number}": "x" for number in range(MAX_FORM_FIELDS)}
    assert site.post("/api/v1/identify", files=[photo], data=few).status_code == 200
    answer = site.post("/api/v1/identify", files=[photo], data={**few, "more": "x"})
    assert answer.status_code == 400
    assert f"{MAX_FORM_FIELDS}" in answer.json()["detail"]
    files = [("other", ("a", b""))] * MAX_FORM_FILES
    answer = site.post("/api/v1/identify", files=[photo, *files])
    assert answer.status_code == 400
    assert f"{MAX_FORM_FILES}" in answer.json()["detail"]


def test_a_field_of_an_upload_is_small(site, draw):
    photo = ("photos", ("a.jpg", draw("Z-9")))
    for size, status in ((SMALL_BYTES, 200), (SMALL_BYTES + 1, 400)):
        answer = site.post("/api/v1/identify", files=[photo], data={"note": "x" * size})
        assert answer.status_code == status


def test_headers_of_a_part_are_small(site):
    head = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n'
    end = b"\r\n\r\nx\r\n--x--\r\n"
    for extra in (b"X-Long: " + b"a" * 20_000, b"\r\n".join(b"X-%d: a" % n for n in range(100))):
        answer = site.post(
            "/api/v1/identify", content=head + extra + end, headers={"content-type": MULTIPART_TYPE}
        )
        assert answer.status_code == 400


def test_a_form_of_many_fields(site):
    data = "&".join("code=A" for _ in range(MAX_FORM_FIELDS + 1))
    answer = site.post(
        "/review/look-alikes/decide", content=data, headers={"content-type": FORM_TYPE}
    )
    assert answer.status_code == 400


def test_long_headers_are_refused_before_the_application(site):
    for headers in ({"x-long": "a" * 2_000_000}, {f"x-{n}": "a" * 1000 for n in range(2_000)}):
        with suppress(httpx.TransportError):  # closed before this side had sent all of it
            assert site.get("/healthz", headers=headers).status_code in (400, 431)
    assert site.get("/healthz").status_code == 200


# -- bodies that cannot be parsed ---------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"choice":' + b'{"a":' * 10_000 + b"1" + b"}" * 5_000 + b"}",
        b'{"choice": "confirm", "codes": ' + b"[" * 1_500 + b"]" * 1_500 + b"}",
        b'{"choice": ' + b"9" * 5_000 + b"}",
        b'{"choice": "confirm", "by": "\xff"}',
        b'\xff\xfe"',
        b"{",
        b"nonsense",
        b'{"choice": "confirm", "by": "\\ud800"}',
    ],
)
def test_json_that_cannot_be_read_is_an_invalid_request(site, body):
    answer = site.post(LOOK_ALIKES, content=body, headers={"content-type": JSON_TYPE})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:satchel:problem:invalid-request"
    assert "body" in answer.json()["detail"]
