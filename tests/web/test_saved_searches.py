"""Saved searches over a real server: by forms, by the API, and by the link of an e-mail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from satchel.market.sale.searches import SavedSearches
from satchel.market.sale.shelf import Wanted
from satchel.workspace import Workspace
from support.goods import API, ok
from support.market import FIELD, logged_in, make_account, market_app

PAGE = {"accept": "text/html"}


@dataclass
class Site:
    url: str
    buyer: httpx.Client
    account: int
    searches: SavedSearches

    def see(self, path: str) -> str:
        answer = self.buyer.get(path, headers=PAGE)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, path: str, **data: str) -> httpx.Response:
        """Send a form of the account's page, as a browser without JavaScript does."""
        found = FIELD.search(self.see("/account"))
        assert found
        return self.buyer.post(path, data={"csrf": found[1], **data}, headers=PAGE)


@pytest.fixture
def site(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[Site]:
    app = market_app(own_workspace)
    account = make_account(own_workspace, "buyer@example.com")
    with run_server(app) as url, logged_in(url, "buyer@example.com") as client:
        yield Site(url, client, account.id, app.state.market.searches)


def test_a_search_is_saved_from_the_shop_and_kept_on_the_account(site: Site) -> None:
    assert "Save this search" not in site.see("/goods")
    page = site.see("/goods?q=디올&grade=A%2B&to_krw=2000000&sort=cheapest&page=1")
    found = re.search(r'action="(/account/searches\?[^"]+)"', page)
    assert found
    answer = site.send(found[1].replace("&amp;", "&"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/account#searches")
    (saved,) = site.searches.of(site.account)
    assert saved.wanted == Wanted(text="디올", grade=("A+",), to_krw=2_000_000)
    page = site.see("/account")
    assert "디올 · A+ · ≤ ₩2,000,000" in page
    assert 'href="/goods?q=%EB%94%94%EC%98%AC&amp;grade=A%2B&amp;to_krw=2000000"' in page
    number = str(saved.id)
    site.send("/account/searches/rename", search=number, name="<b>Lady</b>")
    site.send("/account/searches/mails", search=number, on="false")
    page = site.see("/account")
    assert "&lt;b&gt;Lady&lt;/b&gt;" in page
    assert "Send e-mails" in page
    assert site.send("/account/searches/rename", search=number, name="").status_code == 400
    site.send("/account/searches/delete", search=number)
    assert site.searches.of(site.account) == []
    assert site.send("/account/searches/delete", search=number).status_code == 404


def test_who_is_not_logged_in_is_led_to_the_log_in_and_back(site: Site) -> None:
    with httpx.Client(base_url=site.url, headers=PAGE, timeout=60) as nobody:
        page = nobody.get("/goods?q=디올&brand=A%26B").text
        found = re.search(r'href="(/login\?next=[^"]+)"', page)
        assert found
        page = nobody.get(found[1].replace("&amp;", "&")).text
    assert 'value="/goods?q=%EB%94%94%EC%98%AC&amp;brand=A%26B"' in page


def test_the_api_saves_lists_changes_and_deletes(site: Site) -> None:
    path = f"{API}/searches"
    made = ok(site.buyer.post(f"{path}?q=lady&brand=Dior", json={}), 201)
    assert (made["name"], made["page"]) == ("lady · Dior", "/goods?q=lady&brand=Dior")
    assert (made["mails"], made["mailed_at"]) == (True, None)
    assert ok(site.buyer.get(path)) == {"searches": [made]}
    changed = ok(site.buyer.patch(f"{path}/{made['id']}", json={"name": "L", "mails": False}))
    assert (changed["name"], changed["mails"]) == ("L", False)
    assert site.buyer.post(f"{path}?sold=true", json={}).status_code == 400
    assert site.buyer.post(f"{path}?grade=Z", json={}).status_code == 422
    assert site.buyer.patch(f"{path}/{made['id']}", json={"name": ""}).status_code == 400
    assert site.buyer.patch(f"{path}/999", json={}).status_code == 404
    assert site.buyer.delete(f"{path}/{made['id']}").status_code == 204
    assert site.buyer.delete(f"{path}/{made['id']}").status_code == 404


@pytest.mark.parametrize("who", ["nobody", "mail program", "buyer"])
def test_a_link_stops_e_mails_without_a_log_in(site: Site, who: str) -> None:
    saved = site.searches.save(site.account, Wanted(text="lady"))
    link = f"/unsubscribe?token={saved.token}"
    with httpx.Client(base_url=site.url, timeout=60) as nobody:
        client = site.buyer if who == "buyer" else nobody
        page = client.get(link, headers=PAGE).text  # as scanners of e-mails do: nothing happens
        assert site.searches.get(site.account, saved.id).mails
        assert "lady" in page
        data = {"List-Unsubscribe": "One-Click"}
        if who == "buyer":
            found = FIELD.search(page)
            assert found
            data = {"csrf": found[1]}
        headers = {} if who == "mail program" else PAGE
        answer = client.post(link, data=data, headers=headers)
        assert answer.status_code == 200
        assert not site.searches.get(site.account, saved.id).mails
        for bad in ("", "?token=1-x", "?token=" + "9" * 90):
            assert nobody.post(f"/unsubscribe{bad}", headers=PAGE).status_code == 404
