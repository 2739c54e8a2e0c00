"""Sellers' pages over a real server, without JavaScript: every step is a form."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from io import BytesIO
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from conftest import draw
from satchel.encode.registry import read_serving
from satchel.images import encode_jpeg
from satchel.market.learning.proposal import Proposal, write_attempt
from satchel.market.listings.states import Actor, State
from satchel.market.roles import Role
from satchel.workspace import Workspace
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

PAGE = {"accept": "text/html"}
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Seller:
    """Someone who uses the pages without JavaScript."""

    def __init__(self, client: httpx.Client, app: FastAPI) -> None:
        client.headers.update(PAGE)
        client.follow_redirects = True
        self._client = client
        self.app = app
        self.market: Any = app.state.market

    def see(self, path: str) -> str:
        answer = self._client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, path: str, *, status: int = 200, photo: bytes | None = None, **data: str) -> str:
        files = None if photo is None else {"photo": ("front.jpg", photo)}
        answer = self._client.post(path, data=data, files=files)
        assert answer.status_code == status, answer.text
        return answer.text

    def draft(self) -> str:
        page = self.send("/sell")
        found = re.search(r'data-listing="([^"]+)"', page)
        assert found
        return f"/listings/{found[1]}"

    def state(self, path: str) -> State:
        listing = self.market.goods.listings.get(path.rpartition("/")[2])
        found: State = listing.state
        return found


@pytest.fixture
def seller(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[Seller]:
    app = market_app(own_workspace)
    make_account(own_workspace, "seller@example.com")
    with run_server(app) as url, logged_in(url, "seller@example.com") as client:
        yield Seller(client, app)


def photo(seed: int = 9) -> bytes:
    return encode_jpeg(draw("disc", seed), 90)


def test_a_good_is_listed_by_forms_alone(seller: Seller) -> None:
    assert "Nothing listed yet" in seller.see("/sell")
    path = seller.draft()
    page = seller.send(f"{path}/photos", photo=photo())
    assert page.count('class="tag">Cover') == 1
    page = seller.send(f"{path}/identify")
    assert page.count(">This one<") == min(5, len(CODES))
    assert CODES[2] in seller.send(f"{path}/search", query="가방")
    seller.send(f"{path}/code", code=CODES[0])
    page = seller.send(path, grade="A", price_krw="₩1,250,000", size="30", submit="true")
    assert seller.state(path) is State.SUBMITTED
    assert "₩1,250,000" in page
    assert CODES[0] in seller.see("/sell")
    seller.send(f"{path}/steps/withdraw")
    assert seller.state(path) is State.WITHDRAWN


def test_what_is_missing_is_said_and_what_was_written_is_kept(seller: Seller) -> None:
    path = seller.draft()
    page = seller.send(path, status=422, grade="B", price_krw="12,000", submit="true")
    assert "a photo" in page
    assert 'value="12,000"' in page
    page = seller.send(path, status=422, price_krw="1234", text="가죽 & 금속")
    assert "steps of ₩1,000" in page
    assert "가죽 &amp; 금속</textarea>" in page
    assert "It was not saved" in seller.send(path, status=422, price_krw="much")
    assert "It was not saved" in seller.send(path, status=422, grade="Z")
    seller.send(f"{path}/code", status=422, code="M\u202e1")
    page = seller.send(path, defects="긁힘\r\n얼룩")  # line breaks as browsers send them
    assert "긁힘\n얼룩</textarea>" in page
    assert seller.state(path) is State.DRAFT


def test_a_product_that_is_missing_can_be_proposed(seller: Seller) -> None:
    path = seller.draft()
    assert "It was not saved" in seller.send(f"{path}/proposal", status=422, brand="Dior")
    page = seller.send(f"{path}/proposal", brand="Dior", name="<b>Lady</b>")
    assert "&lt;b&gt;Lady&lt;/b&gt;" in page
    assert "<b>Lady</b>" not in page


def test_a_photo_that_cannot_be_used_is_named_and_others_stay(seller: Seller) -> None:
    path = seller.draft()
    seller.send(f"{path}/photos", photo=photo())
    page = seller.send(f"{path}/photos", photo=b"no photo")
    assert "front.jpg cannot be used" in page
    assert page.count('class="tag">Cover') == 1
    sha = re.search(rf"{path}/photos/([0-9a-f]{{64}})\"", page)
    assert sha
    assert "Cover" not in seller.send(f"{path}/photos/{sha[1]}", act="remove")


def test_an_admin_sees_figures_and_a_seller_does_not(
    seller: Seller, own_workspace: Workspace
) -> None:
    assert seller._client.get("/figures").status_code == 403
    make_account(own_workspace, "admin@example.com", Role.ADMIN)
    with logged_in(str(seller._client.base_url), "admin@example.com") as client:
        admin = Seller(client, seller.app)
        assert "No decisions yet" in admin.see("/figures")
        nothing: dict[str, object] = {"weeks": [], "missed": [], "missing": [], "proposed": None}
        assert client.get("/api/v1/figures").json() == nothing
        proposal = Proposal(
            run="learned",
            served=read_serving(own_workspace.models).name,
            made_at=datetime(2026, 1, 2),
            photos=24,
            start={"own1": 0.5},
            adapted={"own1": 0.625},
            better=True,
        )
        write_attempt(own_workspace.models, proposal)
        page = admin.see("/figures")
        assert "satchel promote learned" in page
        assert "62.5%" in page
        told = client.get("/api/v1/figures").json()["proposed"]
        assert (told["command"], told["photos"]) == ("satchel promote learned", 24)


def test_a_person_takes_their_data_and_leaves(seller: Seller) -> None:
    path = seller.draft()
    seller.send(f"{path}/photos", photo=photo())
    answer = seller._client.get("/account/data")
    assert answer.headers["content-type"] == "application/zip"
    names = zipfile.ZipFile(BytesIO(answer.content)).namelist()
    assert "data.json" in names
    assert len(names) == 2
    seller.send("/account/delete", status=400, email="another@example.com")
    seller.send("/account/delete", email="seller@example.com")
    assert list(seller.market.photos.store.folder.rglob("*.jpg")) == []
    assert "/login" in str(seller._client.get("/account").url)


def test_a_page_of_another_seller_is_refused(seller: Seller, own_workspace: Workspace) -> None:
    path = seller.draft()
    make_account(own_workspace, "other@example.com")
    url = str(seller._client.base_url)
    with logged_in(url, "other@example.com") as other:
        other.headers.update(PAGE)
        assert other.get(path).status_code == 403
        assert other.post(path, data={"size": "mine"}).status_code == 403


def test_the_shop_shows_what_is_on_sale_and_a_buyer_reserves_it(
    seller: Seller, own_workspace: Workspace
) -> None:
    path = seller.draft()
    seller.send(f"{path}/photos", photo=photo())
    seller.send(f"{path}/code", code=CODES[0])
    seller.send(path, grade="S", price_krw="1,250,000", text="</script><b>", submit="true")
    expert = make_account(own_workspace, "expert@example.com", Role.EXPERT)
    listing = path.rpartition("/")[2]
    market = seller.market
    actor = Actor(expert.id, expert.role)
    market.goods.queue.claim(listing, actor)
    market.goods.decisions.certify(listing, CODES[0], actor, seconds=1)
    assert "Nothing on sale" in seller.see("/goods")
    seller.send(f"{path}/steps/offer")

    with httpx.Client(base_url=seller._client.base_url, headers=PAGE, timeout=60) as nobody:
        page = nobody.get("/goods", params={"q": CODES[0], "grade": "S"}).text
        assert "₩1,250,000" in page
        assert "Nothing on sale" in nobody.get("/goods", params={"to_krw": 1_000}).text
        unfilled = {"q": "", "from_krw": "", "to_krw": ""}  # as a form without script sends
        assert "₩1,250,000" in nobody.get("/goods", params=unfilled).text
        shown = nobody.get(f"/goods/{listing}").text
        facts = re.search(r'<script type="application/ld\+json">(.*?)</script>', shown, re.DOTALL)
        assert facts
        product = json.loads(facts[1])
        assert (product["offers"]["price"], product["mpn"]) == (1_250_000, CODES[0])
        assert product["description"] == "</script><b>"
        found = re.search(r'og:image" content="[^"]*?(/goods/[^"]*)"', shown)
        assert found
        with Image.open(BytesIO(nobody.get(found[1]).content)) as preview:
            assert (preview.format, preview.size) == ("JPEG", (1_200, 630))
        assert nobody.get(found[1].replace(listing, "none")).status_code == 404
        sitemap = nobody.get("/sitemap.xml")
        assert f"/goods/{listing}</loc>" in sitemap.text
        assert nobody.post(f"/goods/{listing}/reserve").status_code in {303, 401, 403}

    make_account(own_workspace, "buyer@example.com")
    with logged_in(str(seller._client.base_url), "buyer@example.com") as client:
        buyer = Seller(client, seller.app)
        assert "Reserved for you until" in buyer.send(f"/goods/{listing}/reserve")
        assert seller.state(path) is State.RESERVED
        buyer.send(f"/goods/{listing}/cancel")
    assert seller.state(path) is State.ON_SALE
