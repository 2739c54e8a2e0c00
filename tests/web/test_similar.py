"""Goods on sale that look like a photo or like another good, over a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from satchel.market.listings.fields import Grade, ListingFields
from satchel.market.listings.states import Actor, StepName
from satchel.market.roles import Role
from satchel.web.market.state import MarketState
from satchel.workspace import Workspace
from support.goods import API, ok, photo
from support.market import FIELD, logged_in, make_account, market_app
from web.conftest import CODES, drawn

BAG, DISC, SQUARE, STAR = CODES
PAGE = {"accept": "text/html"}


@dataclass
class Shop:
    client: httpx.Client
    url: str
    market: MarketState
    seller: Actor
    expert: Actor

    def offer(self, code: str, *, seed: int = 9) -> str:
        """Put a good on sale; return its id."""
        goods = self.market.goods
        public_id = goods.listings.create(self.seller).public_id
        self.market.photos.add(public_id, "front-01", photo(seed), self.seller)
        fields = ListingFields(code=code, grade=Grade.A, price_krw=1_000_000)
        goods.listings.change(public_id, fields, self.seller)
        goods.listings.step(public_id, StepName.SUBMIT, self.seller)
        goods.queue.claim(public_id, self.expert)
        goods.decisions.certify(public_id, code, self.expert, seconds=9)
        return goods.listings.step(public_id, StepName.OFFER, self.seller).public_id

    def like(self, data: bytes) -> list[str]:
        sent = self.client.post(f"{API}/goods/similar", files={"photo": ("a.jpg", data)})
        return [one["id"] for one in ok(sent)["goods"]]

    def like_good(self, good: str) -> list[str]:
        return [one["id"] for one in ok(self.client.get(f"{API}/goods/{good}/similar"))["goods"]]


@pytest.fixture
def app(own_workspace: Workspace) -> FastAPI:
    return market_app(own_workspace)


@pytest.fixture
def shop(
    app: FastAPI,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[Shop]:
    people = [
        Actor(make_account(own_workspace, f"{name}@example.com", role).id, role)
        for name, role in (("seller", Role.SELLER), ("expert", Role.EXPERT))
    ]
    with run_server(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield Shop(client, url, app.state.market, *people)


def test_a_photo_finds_goods_of_its_product_first_and_only_what_is_on_sale(shop: Shop) -> None:
    assert shop.like(drawn(DISC, view=3)) == []  # nothing is on sale yet
    older, newer = shop.offer(DISC), shop.offer(DISC, seed=10)
    bag, square = shop.offer(BAG, seed=11), shop.offer(SQUARE, seed=12)
    for code, first in ((DISC, [newer, older]), (BAG, [bag]), (SQUARE, [square])):
        found = shop.like(drawn(code, view=3))
        assert found[: len(first)] == first
        assert sorted(found) == sorted((older, newer, bag, square))
    shop.market.goods.listings.step(bag, StepName.WITHDRAW, shop.seller)
    assert bag not in shop.like(drawn(BAG, view=3))
    # The star is in the catalogue and is not on sale: the others are ranked, it is not among them.
    assert len(shop.like(drawn(STAR, view=3))) == 3


def test_scores_are_those_of_identification_among_the_same_products(shop: Shop) -> None:
    for at, code in enumerate((DISC, BAG, SQUARE, STAR)):
        shop.offer(code, seed=at)
    data = drawn(SQUARE, view=3)
    sent = {"photo": ("a.jpg", data)}
    found = ok(shop.client.post(f"{API}/goods/similar", files=sent))["goods"]
    ranked = ok(shop.client.post(f"{API}/identify", files={"photos": ("a.jpg", data)}))
    expected = [(one["code"], one["score"]) for one in ranked["candidates"]]
    assert [one["code"] for one in found] == [code for code, _ in expected]
    assert [one["similarity"] for one in found] == pytest.approx([score for _, score in expected])


def test_a_good_shows_the_goods_most_like_it_without_itself(shop: Shop) -> None:
    star, other = shop.offer(STAR), shop.offer(STAR, seed=10)
    disc, bag = shop.offer(DISC, seed=11), shop.offer(BAG, seed=12)
    found = shop.like_good(star)
    assert found[0] == other
    assert sorted(found) == sorted((other, disc, bag))
    page = shop.client.get(f"/goods/{star}", headers=PAGE).text
    places = [page.index(f'href="/goods/{one}"') for one in found]
    assert places == sorted(places)
    assert shop.client.get(f"{API}/goods/nothing/similar").status_code == 404


def test_the_page_takes_a_photo_with_and_without_a_log_in(shop: Shop) -> None:
    disc = shop.offer(DISC)
    sent = {"photo": ("a.jpg", drawn(DISC, view=3))}
    for path in ("/goods", "/goods/similar"):
        assert 'action="/goods/similar"' in shop.client.get(path, headers=PAGE).text
    answer = shop.client.post("/goods/similar", files=sent, headers=PAGE)
    assert f'href="/goods/{disc}"' in answer.text
    with logged_in(shop.url, "seller@example.com") as seller:
        found = FIELD.search(seller.get("/goods/similar", headers=PAGE).text)
        assert found
        answer = seller.post("/goods/similar", files=sent, data={"csrf": found[1]}, headers=PAGE)
        assert f'href="/goods/{disc}"' in answer.text


@pytest.mark.parametrize(
    ("data", "status"), [(b"no photo", 415), (b"", 422), (drawn(DISC)[:3_000], 422)]
)
def test_a_photo_that_cannot_be_used_is_refused_in_words(
    shop: Shop, data: bytes, status: int
) -> None:
    shop.offer(DISC)
    sent = {"photo": ("a.jpg", data)}
    assert shop.client.post(f"{API}/goods/similar", files=sent).status_code == status
    page = shop.client.post("/goods/similar", files=sent, headers=PAGE)
    assert page.status_code == status
    assert "Photo 1 cannot be used" in page.text


def test_photos_count_as_identifications(
    own_workspace: Workspace, serve_app: Callable[[FastAPI], httpx.Client]
) -> None:
    settings = own_workspace.settings
    serve = settings.serve.model_copy(update={"identifications_per_minute": 1, "proxies": []})
    limited = Workspace(own_workspace.folder, settings.model_copy(update={"serve": serve}))
    client = serve_app(market_app(limited))
    paths = (f"{API}/goods/similar", "/goods/similar")
    sent = {"photo": ("a.jpg", b"no photo")}
    for path in paths:  # where a minute ends in between, one more is allowed
        answers = [client.post(path, files=sent) for _ in range(4)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert int(refused[0].headers["retry-after"]) > 0
