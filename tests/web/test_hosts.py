"""DNS rebinding: the server answers only under names that are its own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers

from satchel.config import Serve
from satchel.errors import UsageError
from satchel.web.app import create_app
from satchel.web.listening import listen, names_of
from satchel.web.middleware.hosts import parse_authority
from satchel.web.middleware.origins import from_here
from satchel.workspace import Workspace

Ask = Callable[..., httpx.Response]

OWN = [
    "localhost",
    "localhost:8000",
    "localhost:",
    "LocalHost:8000",
    "localhost.",
    "127.0.0.1:8000",
    "192.168.0.5:8000",
    "203.0.113.9",
    "[::1]:8000",
    "[::1]",
    "[FE80::1]:80",
    "[::ffff:192.168.0.5]",
    "shop.example.com",
    "SHOP.Example.com.:443",
    "a.b.wild.example",
    "xn--v42bs98b.xn--3e0b707e",
    "shop_pc:8000",
]
"""Of a server whose settings list Shop.example.com, *.wild.example, 명품.한국 and shop_pc."""

FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "localhost.attacker.com",
    "attacker-localhost",
    "shop.example.com.attacker.com",
    "evilshop.example.com",
    "www.shop.example.com",
    "wild.example",
    "evilwild.example",
    "127.0.0.1.attacker.com",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "x" * 240,
]

MALFORMED = [
    "",
    " ",
    "localhost:abc",
    "localhost:65536",
    "localhost:123456",
    "localhost:80:80",
    "user@localhost",
    "user:password@localhost",
    "localhost, evil.example",
    "localhost evil.example",
    "localhost\\@evil.example",
    "localhost/evil",
    "localhost#evil",
    "localhost..",
    ".localhost",
    "http://localhost",
    "*",
    "*.wild.example",
    "::1",
    "[::1",
    "[localhost]",
    "[127.0.0.1]",
    "[v1.x]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]:8000",
    "명품.한국",
    "<b>",
    "x" * 300,
]


@pytest.fixture(scope="module")
def app(workspace_folder) -> Iterator[FastAPI]:
    workspace = Workspace.open(workspace_folder)
    hosts = ["Shop.example.com", "*.wild.example", "명품.한국", "shop_pc"]
    serve = Serve.model_validate({"hosts": hosts})
    settings = workspace.settings.model_copy(update={"serve": serve})
    yield create_app(replace(workspace, settings=settings))
    workspace.catalogue.close()


@pytest.fixture(scope="module")
def ask(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[Ask]:
    """What a real server answers to a request with these Host headers, sent as they are."""
    with run_server(app) as url:
        address = httpx.URL(url)

        def ask(
            hosts: Sequence[str],
            path: str = "/healthz",
            method: str = "GET",
            version: str = "1.1",
            **headers: str,
        ) -> httpx.Response:
            lines = [f"{method} {path} HTTP/{version}", *(f"Host: {host}" for host in hosts)]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            with socket.create_connection((address.host, address.port), 60) as connection:
                connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
                head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
            first, *rest = head.decode().split("\r\n")
            pairs = [line.partition(": ")[::2] for line in rest]
            kept = [pair for pair in pairs if pair[0].lower() != "transfer-encoding"]
            return httpx.Response(int(first.split()[1]), headers=kept, content=body)

        yield ask


# -- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", OWN)
def test_own_names_and_addresses_pass(ask, host):
    assert ask([host]).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_are_refused_with_the_line_that_allows_them(ask, host):
    answer = ask([host])
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    told = answer.json()
    assert told["type"] == "urn:satchel:problem:unknown-host"
    name = host.partition(":")[0]
    assert told["host"] == name
    assert f'[serve], hosts = ["{name}"]' in told["detail"]
    assert "shop_pc" not in told["detail"]  # what is allowed is not told


@pytest.mark.parametrize("host", MALFORMED)
def test_malformed_hosts_are_refused(ask, host):
    assert ask([host]).status_code == 400
    assert parse_authority(host.strip()) is None


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_no_host_and_several(ask, app, hosts):
    assert ask(hosts).status_code == 400  # by h11
    assert status_without_a_server(app, hosts) == 400  # and by ourselves, whatever the server


def test_a_health_check_of_http_1_0_without_host_passes(ask):
    assert ask([], version="1.0").status_code == 200
    assert ask(["evil.example"], version="1.0").status_code == 421


@pytest.mark.parametrize("header", ["X_Forwarded_Host", "Forwarded", "X_Host", "X_Original_Host"])
def test_forwarded_names_count_for_nothing(ask, header):
    value = "host={}" if header == "Forwarded" else "{}"
    assert ask(["evil.example"], **{header: value.format("localhost")}).status_code == 421
    assert ask(["localhost"], **{header: value.format("evil.example")}).status_code == 200


def status_without_a_server(app: FastAPI, hosts: Sequence[str]) -> int:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/healthz",
        "raw_path": b"/healthz",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", host.encode()) for host in hosts],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return int(str(sent[0]["status"]))


# -- every route --------------------------------------------------------------------------------


def test_every_route_is_covered(ask, app):
    routes = [
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ("GET",)
    ]
    assert len(routes) > 20
    for method, path in [*routes, ("GET", "/static/satchel.css"), ("GET", "/nothing")]:
        assert ask(["evil.example"], path, method).status_code == 421, (method, path)
        assert ask(["localhost"], path, method).status_code != 421, (method, path)


def test_nothing_of_the_catalogue_is_in_a_refusal(ask, codes):
    for path in ("/", "/products", "/docs", "/openapi.json", "/api/v1/products", "/healthz"):
        for accept in ("text/html", "*/*"):
            text = ask(["evil.example"], path, Accept=accept).text
            assert not any(word in text for word in (*codes, "Maison", "leather"))


# -- the page -----------------------------------------------------------------------------------


def test_people_get_a_page_that_needs_nothing_else(ask):
    page = ask(["Evil.example:8000"], "/products", Accept="text/html")
    assert page.status_code == 421
    assert "This address is not allowed" in page.text
    assert '[serve]\nhosts = ["evil.example"]' in page.text
    for reference in ("<link", "<script", "<img", "src=", "url("):
        assert reference not in page.text
    korean = ask(["evil.example"], "/", Accept="text/html", Accept_Language="ko").text
    assert "허용되지 않은 주소예요" in korean
    assert 'lang="ko"' in korean


def test_a_malformed_host_is_reported_on_a_page_too(ask):
    page = ask(["<b>x</b>"], "/", Accept="text/html")
    assert page.status_code == 400
    assert "The address is not valid" in page.text
    assert "<b>" not in page.text


# -- settings -----------------------------------------------------------------------------------


def write_settings(workspace: Workspace, hosts: list[str]) -> None:
    (workspace.folder / "satchel.toml").write_text(
        f'[locate]\nmodel = "saliency"\n[serve]\nhosts = {json.dumps(hosts)}\n'
    )


def test_a_star_takes_every_name(own_workspace, serve_app):
    write_settings(own_workspace, ["*"])
    workspace = Workspace.open(own_workspace.folder)
    client = serve_app(create_app(workspace))
    assert client.get("/healthz", headers={"host": "anything.example"}).status_code == 200
    assert client.get("/healthz", headers={"host": "a b"}).status_code == 400
    workspace.catalogue.close()


def test_the_line_in_a_refusal_allows_the_name(own_workspace, serve_app):
    client = serve_app(create_app(own_workspace))
    headers = {"host": "shop.example.com:8000"}
    detail = client.get("/healthz", headers=headers).json()["detail"]
    line = detail.partition("under [serve], ")[2].partition("]")[0] + "]"
    (own_workspace.folder / "satchel.toml").write_text(
        f'[locate]\nmodel = "saliency"\n[serve]\n{line}\n'
    )
    workspace = Workspace.open(own_workspace.folder)
    assert serve_app(create_app(workspace)).get("/healthz", headers=headers).status_code == 200
    workspace.catalogue.close()


NO_NAMES = ["", "http://shop.example", "shop.example:80", "a/b", "a b", "*.", "**", "a.*", "[::1]"]


@pytest.mark.parametrize("host", NO_NAMES)
def test_settings_refuse_what_is_no_name(empty_workspace, host):
    write_settings(empty_workspace, [host])
    with pytest.raises(UsageError, match=r"serve\.hosts\.0: .*shop\.example\.com"):
        Workspace.open(empty_workspace.folder)


def test_a_new_workspace_shows_the_setting(empty_workspace):
    path = empty_workspace.folder / "satchel.toml"
    commented, active = "\n#hosts = []\n", "\nhosts = []\n"
    assert commented in path.read_text()
    path.write_text(path.read_text().replace(commented, active))
    assert Workspace.open(empty_workspace.folder).settings.serve.hosts == []


# -- what the server listens on -----------------------------------------------------------------


def test_a_name_that_is_listened_on_is_known(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "Shop-PC.attacker-wifi.example")
    with listen("127.0.0.1", 0) as here, listen("0.0.0.0", 0) as everywhere:
        assert names_of("127.0.0.1", here) == set()
        assert names_of("LocalHost", here) == {"localhost"}
        assert names_of("0.0.0.0", everywhere) == {"shop-pc", "shop-pc.local"}
        assert names_of("nas.home.", everywhere) == {"nas.home", "shop-pc", "shop-pc.local"}


# -- origins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "ours"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("http://localhost:8000", "LOCALHOST:8000", True),
        ("http://shop.example", "shop.example:80", True),
        ("https://shop.example", "shop.example", True),
        ("https://shop.example", "shop.example:443", True),
        ("https://shop.example:8443", "shop.example:8443", True),
        ("http://[::1]:8000", "[0::1]:8000", True),
        ("http://localhost", "localhost:8000", False),
        ("http://localhost:8001", "localhost:8000", False),
        ("http://evil.example", "localhost", False),
        ("null", "localhost", False),
        ("", "localhost", False),
        ("", "", False),
        ("localhost", "localhost", False),
        ("file://localhost", "localhost", False),
        ("http://user@localhost", "localhost", False),
        ("http://localhost/", "localhost", False),
        ("http://", "", False),
    ],
)
def test_an_origin_is_compared_with_the_host(origin, host, ours):
    assert from_here(Headers({"origin": origin, "host": host}), "http") is ours


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("https://shop.example", True),
        ("https://shop.example:443", True),
        ("http://shop.example", False),
        ("http://shop.example:443", False),
        ("http://shop.example:80", False),
    ],
)
def test_a_page_that_came_by_http_may_not_send_to_https(origin, ours):
    assert from_here(Headers({"origin": origin, "host": "shop.example"}), "https") is ours


@pytest.mark.parametrize(
    "header", [{"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "same-origin"}]
)
def test_a_page_of_a_foreign_name_is_not_ours_by_being_the_host(ask, header):
    assert ask(["evil.example"], "/review/decide", "POST", **header).status_code == 421
