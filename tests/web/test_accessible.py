"""axe finds nothing on any page, and none is wider than its window.

In English, light and wide, and in Korean, dark and narrow.

A page that is new, and neither here nor among those that nobody reads, fails a test.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from selenium.webdriver import Chrome

from satchel.collect.records import Found
from satchel.collect.store import CandidateStore
from satchel.market.roles import Role
from satchel.web.visitors import COOKIE
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader
from support.goods import API, drafted, ok, submitted
from support.market import logged_in, make_account, market_app
from web.conftest import CODES, drawn

AXE: Final = Path(sys.prefix) / "axe" / "package" / "axe.min.js"
CI: Final = bool(os.environ.get("CI"))
"""Whether the test must run: there, axe-core is missing by mistake."""

RUN: Final = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(result => done(result.violations.map(one => [
  one.id, one.help, one.nodes.map(node => node.html.slice(0, 160) + " | " + node.failureSummary)
])));
"""
WIDTH: Final = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOOKS: Final = [("en", "light", (1280, 900)), ("ko", "dark", (390, 844))]
"""Language, colours, and width and height of the window."""

HTML: Final = {"accept": "text/html"}
PAGES: Final[dict[str | None, tuple[str, ...]]] = {
    None: (
        "/", "/answers/{token}", "/cases/{case}", "/share/{share}", "/goods", "/goods?q=nothing",
        "/goods/{on_sale}", "/goods/similar", "/certificates", "/certificates?number=none",
        "/certificates/{number}", "/products", "/products/{code:path}", "/login", "/register",
        "/terms", "/forgotten", "/confirm", "/reset", "/email", "/link", "/unsubscribe", "/docs",
        "/nowhere",
    ),
    "seller": (
        "/sell", "/listings/{draft}", "/listings/{asked}", "/listings/{on_sale}", "/account",
        "/goods/{reserved}",
    ),
    "expert": (
        "/desk", "/desk/{waiting}", "/cases", "/cases/{case}", "/review", "/review/decisions",
        "/review/grid", "/review/look-alikes", "/review/look-alikes/decisions", "/collections",
        "/collections/candidates?code={code}", "/catalogue/edit?code={code}", "/catalogue/edits",
    ),
    "admin": (
        "/figures", "/admin/accounts", "/admin/audit", "/jobs", "/webhooks", "/desk/{waiting}",
        "/certificates/{number}",
    ),
}  # fmt: skip
"""Who sees which pages; in the paths, what `goods_of` names."""

NO_PAGES: Final = {
    "/account/data", "/account/identities/{provider}", "/cases/codes", "/catalogue/codes",
    "/collections/codes", "/desk/codes", "/feedback/other", "/filters", "/identify",
    "/listings/{listing}/readings", "/login/{provider}", "/login/{provider}/back", "/review/codes",
    "/healthz", "/healthz/live", "/healthz/ready", "/metrics", "/openapi.json",
}  # fmt: skip
"""Addresses that lead elsewhere, or give a part of a page, or something for programs."""

PROGRAMS: Final = re.compile(r"/api/.*|.*\.(jpg|pdf|xml|webmanifest)")
PARAMETER: Final = re.compile(r"\{[^}]*\}")


@pytest.fixture
def app(own_workspace: Workspace) -> FastAPI:
    for name, role in (("seller", Role.SELLER), ("expert", Role.EXPERT), ("admin", Role.ADMIN)):
        make_account(own_workspace, f"{name}@example.com", role)
    return market_app(own_workspace, requests_per_minute=100_000)


@pytest.fixture
def market(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a market, and what its paths name."""
    with run_server(app) as url:
        yield url, {**goods_of(url), **crawled(app)}


def crawled(app: FastAPI) -> dict[str, str]:
    """A product with candidates, and two of its photos in doubt."""
    catalogue = app.state.server.workspace.catalogue
    host = "photos.example.com"
    found = [
        (Found(CODES[0], f"https://{host}/{at}.jpg", query="bag", rank=at), host) for at in (1, 2)
    ]
    CandidateStore(catalogue.engine).add(found, "list")
    links = [one.link_id for one in catalogue.review.of_product(CODES[0])]
    catalogue.curation.set_states((one, "doubtful", [{"kind": "blurred"}]) for one in links)
    return {"code": CODES[0], "code:path": CODES[0]}


def goods_of(url: str) -> dict[str, str]:
    """A listing in each state that looks different, an answer, its case and shared photos."""
    with (
        httpx.Client(base_url=url, timeout=60, headers=HTML) as nobody,
        logged_in(url, "seller@example.com") as seller,
        logged_in(url, "expert@example.com") as expert,
    ):
        photos = {"photos": ("bag.jpg", drawn(CODES[3]))}
        answer = nobody.post("/identify", files=photos, headers={"hx-request": "true"})
        (token,) = set(re.findall(r'name="answer" value="([^"]*)"', answer.text))
        case = nobody.post("/feedback", data={"answer": token, "expert": "true"})
        share = nobody.post("/share", files=photos)

        def claimed(at: int) -> str:
            listing = submitted(seller, CODES[at], seed=10 * at + 9)
            ok(expert.post(f"{API}/desk/{listing}/claim"))
            return listing

        def offered(at: int) -> str:
            listing, body = claimed(at), {"code": CODES[at], "seconds": 9}
            ok(expert.post(f"{API}/desk/{listing}/certify", json=body))
            ok(seller.post(f"{API}/listings/{listing}/steps/offer"))
            return listing

        on_sale, reserved, waiting, asked = offered(0), offered(1), claimed(2), claimed(3)
        ok(expert.post(f"{API}/goods/{reserved}/reserve"))
        wanted = {"photos": ["inside_tag"], "seconds": 3, "text": "잘 보이게 찍어 주세요"}
        ok(expert.post(f"{API}/desk/{asked}/ask", json=wanted))
        events = ok(seller.get(f"{API}/listings/{on_sale}/events"))
        (number,) = {one["details"].get("certificate") for one in events} - {None}
        return {
            "token": token,
            "case": case.headers["location"].removeprefix("/cases/"),
            "share": share.headers["location"].removeprefix("/share/"),
            "on_sale": on_sale,
            "reserved": reserved,
            "waiting": waiting,
            "asked": asked,
            "draft": drafted(seller, CODES[2], seed=50),
            "number": number,
        }


def log_in(reader: Reader, name: str | None) -> None:
    reader.chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    if name is None:
        return
    reader.go("/healthz")
    with logged_in(reader.server, f"{name}@example.com") as client:
        cookie = {"name": COOKIE, "value": client.cookies[COOKIE], "path": "/"}
        reader.chrome.add_cookie(cookie)


def violations(reader: Reader, path: str, language: str) -> list[str]:
    """What is wrong with a page."""
    reader.go(f"{path}{'&' if '?' in path else '?'}lang={language}")
    reader.one("main h1")
    reader.chrome.execute_script(AXE.read_text(encoding="utf-8"))  # the page's policy does not bind
    said = reader.chrome.execute_async_script(RUN)
    wide = reader.chrome.execute_script(WIDTH)
    return [f"{path}: {name} ({words}): {where[:3]}" for name, words, where in said] + (
        [f"{path} is {wide} pixels wider than the window"] if wide > 0 else []
    )


def named(path: str, names: dict[str, str]) -> str:
    """A path with what it names in place of its parameters."""
    return PARAMETER.sub(lambda found: quote(names[found[0][1:-1]], safe=""), path)


def test_every_page_is_looked_at(app: FastAPI) -> None:
    given = {
        PARAMETER.sub("{}", str(route.path))
        for route in iter_route_contexts(app.routes)
        if "GET" in (getattr(route, "methods", None) or ())
        and not PROGRAMS.fullmatch(str(route.path))
        and str(route.path) not in NO_PAGES
    }
    pages = [page.partition("?")[0] for some in PAGES.values() for page in some]
    assert given == {PARAMETER.sub("{}", page) for page in pages} - {"/nowhere"}


@BROWSER_MARKS[0]
@BROWSER_MARKS[1]
@pytest.mark.flow
@pytest.mark.skipif(
    not AXE.is_file() and not CI, reason="needs axe-core in the virtual environment: make axe"
)
@pytest.mark.parametrize(("language", "colours", "size"), LOOKS)
def test_axe_finds_nothing_and_every_page_fits(
    chrome: Chrome,
    market: tuple[str, dict[str, str]],
    language: str,
    colours: str,
    size: tuple[int, int],
) -> None:
    url, names = market
    reader = Reader(chrome, url)
    reader.resize(*size)
    chrome.set_script_timeout(60)
    media = {"features": [{"name": "prefers-color-scheme", "value": colours}]}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    wrong: list[str] = []
    for who, pages in PAGES.items():
        log_in(reader, who)
        for path in pages:
            wrong += violations(reader, named(path, names), language)
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert wrong == [], "\n\n".join(wrong)
