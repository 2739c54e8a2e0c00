"""The app that a phone installs, and photos that its gallery shares with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from selenium.webdriver import Chrome

from satchel.identify import MAX_ITEM_PHOTOS
from satchel.web.pages.share import SHARE
from satchel.web.state import SHARE_AGE_S
from satchel.web.visitors import COOKIE
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader
from support.goods import API, ok
from support.market import logged_in, make_account, market_app
from web.conftest import CODES, drawn

PAGE = {"accept": "text/html"}
FROM_THE_SYSTEM = PAGE | {"sec-fetch-site": "cross-site", "origin": "null"}
"""The least that a browser says of what the system shares: nothing that it could be trusted by."""

EMAIL = "seller@example.com"
Serve = Callable[[FastAPI], AbstractContextManager[str]]


@pytest.fixture
def market(own_workspace: Workspace, run_server: Serve) -> Iterator[tuple[FastAPI, str]]:
    make_account(own_workspace, EMAIL)
    app = market_app(own_workspace)
    with run_server(app) as url:
        yield app, url


def share(client: httpx.Client, *photos: bytes, **headers: str) -> httpx.Response:
    files = [("photos", (f"IMG_{n}.jpg", data, "image/jpeg")) for n, data in enumerate(photos)]
    return client.post(SHARE, files=files, headers=FROM_THE_SYSTEM | headers)


def token_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix(f"{SHARE}/").partition("?")[0]


def test_the_manifest_is_what_browsers_install(client: httpx.Client) -> None:
    page = client.get("/", headers=PAGE | {"accept-language": "ko"}).text
    address = page.partition('rel="manifest" href="')[2].partition('"')[0]
    answer = client.get(address)
    assert answer.headers["content-type"] == "application/manifest+json"
    assert "manifest-src 'self'" in answer.headers["content-security-policy"]
    app = answer.json()
    assert (app["id"], app["start_url"], app["scope"], app["lang"]) == ("/", "/", "/", "ko")
    assert "어떤 모델" in app["name"]
    assert app["display"] == "standalone"
    sides = set()
    for icon in app["icons"]:
        drawn_ = client.get(icon["src"])
        assert drawn_.headers["content-type"] == icon["type"]
        if icon["type"] == "image/png":
            side = "x".join(map(str, Image.open(BytesIO(drawn_.content)).size))
            assert side == icon["sizes"]
            sides.add((side, icon["purpose"]))
    assert sides >= {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")}
    assert "shortcuts" not in app  # those lead to the market
    assert app["share_target"] == {
        "action": SHARE,
        "method": "POST",
        "enctype": "multipart/form-data",
        "params": {"files": [{"name": "photos", "accept": ["image/*"]}]},
    }


def test_a_server_that_keeps_no_photos_takes_none(
    app_with: Callable[..., FastAPI], serve_app: Callable[[FastAPI], httpx.Client]
) -> None:
    client = serve_app(app_with(kept_mb=0))
    assert "share_target" not in client.get("/manifest.webmanifest").json()
    assert share(client, drawn("Z-9")).status_code == 413


def test_shared_photos_are_identified_without_accounts(client: httpx.Client) -> None:
    token = token_of(share(client, drawn("Z-9", view=1), drawn("Z-9")))
    page = client.get(f"{SHARE}/{token}", headers=PAGE).text
    assert page.count(f'src="{SHARE}/{token}/') == 2
    assert f"{SHARE}/sell" not in page
    small = client.get(f"{SHARE}/{token}/1.jpg")
    assert max(Image.open(BytesIO(small.content)).size) == 320
    assert "no-store" in small.headers["cache-control"]
    assert client.get(f"{SHARE}/{token}/2.jpg").status_code == 400
    answer = client.post(f"{SHARE}/identify", data={"token": token}, headers=PAGE)
    assert answer.status_code == 303
    found = client.get(answer.headers["location"], headers=PAGE).text
    assert "Z-9" in found
    assert "<img" in found


def test_what_is_not_taken_is_said(client: httpx.Client) -> None:
    assert share(client).status_code == 400
    many = share(client, *[drawn("Z-9")] * (MAX_ITEM_PHOTOS + 2))
    assert many.headers["location"].endswith("?left=2")
    page = client.get(many.headers["location"], headers=PAGE).text
    assert f"first {MAX_ITEM_PHOTOS} photos" in page
    gone = client.get(f"{SHARE}/{'x' * 32}", headers=PAGE)
    assert gone.status_code == 410
    assert "ten minutes" in gone.text
    assert client.post(f"{SHARE}/identify", headers=FROM_THE_SYSTEM).status_code == 403


def test_a_seller_confirms_and_gets_a_draft(market: tuple[FastAPI, str]) -> None:
    _, url = market
    with logged_in(url, EMAIL) as seller:
        token = token_of(share(seller, drawn("Z-9"), b"no photo", **{"X-CSRF-Token": ""}))
        ours = {"token": token}
        listed = f"{API}/listings"
        assert ok(seller.get(listed))["listings"] == []  # nothing happened yet
        forged = seller.post(f"{SHARE}/sell", data=ours, headers={"X-CSRF-Token": ""})
        assert forged.status_code == 403
        done = seller.post(f"{SHARE}/sell", data=ours, headers=PAGE)
        assert done.status_code == 200  # and not 303: it says what could not be used
        assert "IMG_1.jpg" in done.text
        (draft,) = ok(seller.get(listed))["listings"]
        assert draft["state"] == "draft"
        assert len(draft["photos"]) == 1
        again = seller.post(f"{SHARE}/sell", data=ours, headers=PAGE)
        assert again.status_code == 410
        assert len(ok(seller.get(listed))["listings"]) == 1


def test_who_is_not_logged_in_is_led_there_and_back(market: tuple[FastAPI, str]) -> None:
    app, url = market
    with httpx.Client(base_url=url) as nobody:
        token = token_of(share(nobody, drawn("Z-9")))
        page = nobody.get(f"{SHARE}/{token}", headers=PAGE).text
        assert f'href="/login?next={SHARE}/{token}"' in page
        assert nobody.post(f"{SHARE}/sell", data={"token": token}).status_code == 401
    with logged_in(url, EMAIL) as seller:
        page = seller.get(f"{SHARE}/{token}", headers=PAGE).text
        assert f'action="{SHARE}/sell"' in page
        assert 'name="csrf"' in page
    assert SHARE_AGE_S == 600
    assert app.state.server.shares.size_bytes > 0


def test_sharing_is_limited_by_address(
    app_with: Callable[..., FastAPI], serve_app: Callable[[FastAPI], httpx.Client]
) -> None:
    client = serve_app(app_with(identifications_per_minute=2, proxies=[]))
    answers = [share(client, drawn("Z-9")).status_code for _ in range(3)]
    assert answers == [303, 303, 429]


class TestInABrowser:
    pytestmark = [*BROWSER_MARKS, pytest.mark.flow]  # noqa: RUF012 # pytest wants a list

    def test_the_app_installs_and_shared_photos_become_a_named_draft(
        self, market: tuple[FastAPI, str], chrome: Chrome, tmp_path: Path
    ) -> None:
        _, url = market
        photo = tmp_path / "IMG_1.jpg"
        photo.write_bytes(drawn(CODES[3]))
        person = Reader(chrome, url)
        with logged_in(url, EMAIL) as seller:
            person.go("/static/favicon.svg")
            chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
            chrome.add_cookie({"name": COOKIE, "value": seller.cookies[COOKIE]})
            person.complaints()  # of earlier tests, and no icon for a picture
            person.go("/sell")
            manifest: Any = chrome.execute_cdp_cmd("Page.getAppManifest", {})
            assert manifest["errors"] == []
            app = json.loads(manifest["data"])
            assert app["short_name"] == "Satchel"
            assert {one["url"] for one in app["shortcuts"]} == {"/sell", "/goods"}
            faults = chrome.execute_cdp_cmd("Page.getInstallabilityErrors", {})
            assert {one["errorId"] for one in faults["installabilityErrors"]} <= {"in-incognito"}

            # As the system sends it: a form that no page of ours carries, without any token.
            files = app["share_target"]["params"]["files"][0]["name"]
            form = f"""
                const form = Object.assign(document.createElement("form"), {{
                  method: "post", action: "{app["share_target"]["action"]}",
                  enctype: "{app["share_target"]["enctype"]}"}});
                form.innerHTML = '<input type="file" name="{files}" id="shared">';
                document.body.replaceChildren(form);"""
            chrome.execute_script(form)
            person.one("#shared").send_keys(str(photo))
            chrome.execute_script("document.forms[0].submit()")
            person.one("form[action='/share/sell'] button").click()
            person.until(lambda: CODES[3] in person.texts("#candidates .picks code"))
            assert len(person.all(".photo")) == 1
            assert person.complaints() == []
