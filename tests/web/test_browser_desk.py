"""The expert's desk in a real browser: cases decided by keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from fastapi import FastAPI
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys

from satchel.market.desk.opinions import opinions_on
from satchel.market.desk.regions import Region
from satchel.market.roles import Role
from satchel.records import Box
from satchel.web.visitors import COOKIE
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader
from support.goods import submitted
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

pytestmark = BROWSER_MARKS


@pytest.fixture
def app(own_workspace: Workspace) -> FastAPI:
    make_account(own_workspace, "seller@example.com")
    make_account(own_workspace, "expert@example.com", Role.EXPERT)
    return market_app(own_workspace)


@pytest.fixture
def cases(
    app: FastAPI, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[tuple[str, list[str]]]:
    """The address of a market, and its three cases."""
    with run_server(app) as url, logged_in(url, "seller@example.com") as seller:
        yield url, [submitted(seller, CODES[0], seed=seed) for seed in (9, 40, 77)]


@pytest.fixture
def expert(chrome: Chrome, cases: tuple[str, list[str]]) -> Reader:
    """An expert who is logged in."""
    expert = Reader(chrome, cases[0])
    expert.resize(1280, 900)
    expert.go("/healthz")
    with logged_in(expert.server, "expert@example.com") as client:
        chrome.add_cookie({"name": COOKIE, "value": client.cookies[COOKIE], "path": "/"})
    expert.complaints()
    return expert


def press(expert: Reader, *keys: str) -> None:
    ActionChains(expert.chrome).send_keys(*keys).perform()


def at(expert: Reader, listing: str) -> None:
    """Wait until a case is shown, with its script."""
    expert.until(lambda: f"/desk/{listing}" in expert.chrome.current_url)
    expert.until(lambda: expert.texts("#compare .code") not in ([""], []))


def opinion(app: FastAPI, listing: str) -> Any:
    market = app.state.market
    (given,) = opinions_on(market.engine, market.goods.listings.get(listing))
    return given


def test_three_cases_are_decided_by_keys(
    app: FastAPI, expert: Reader, cases: tuple[str, list[str]]
) -> None:
    first, second, third = cases[1]
    expert.go("/desk")
    press(expert, "n")
    at(expert, first)
    ranked = [one.get_attribute("value") for one in expert.all("#certify [name=code]")][:-1]
    chosen = expert.texts("#compare .code")[0]
    press(expert, "j")
    following = ranked[(ranked.index(chosen) + 1) % len(ranked)]
    expert.until(lambda: expert.texts("#compare .code") == [following])
    assert expert.texts("[data-chosen]") == [following]
    press(expert, "b")
    assert expert.all(".compare.blink")
    press(expert, "b", "?")
    expert.until(lambda: expert.all("#keys[open]"))
    press(expert, "j")  # not behind a dialog
    press(expert, Keys.ESCAPE)
    expert.until(lambda: not expert.all("#keys[open]"))
    assert expert.texts("#compare .code") == [following]
    press(expert, "c", Keys.ENTER)
    at(expert, second)
    given = opinion(app, first)
    assert given.code == following
    assert 0 < given.seconds < 120

    press(expert, "a")
    expert.until(lambda: expert.chrome.switch_to.active_element.get_attribute("name") == "photo")
    press(expert, " ", "r")  # ticks the first one; another key goes on
    expert.until(lambda: expert.chrome.switch_to.active_element.get_attribute("name") == "reason")
    press(expert, " ", Keys.TAB, "back", Keys.ESCAPE)  # typed, not pressed
    assert not expert.all(".compare.blink")
    press(expert, "s", CODES[2], Keys.ESCAPE)
    expert.until(lambda: expert.texts("#compare .code") == [CODES[2]])
    press(expert, "c", Keys.ENTER)
    at(expert, third)
    assert opinion(app, second).code == CODES[2]

    expert.one(".back-button").click()
    expert.until(lambda: expert.chrome.current_url.endswith("/desk"))
    assert app.state.market.goods.listings.get(third).state == "submitted"
    assert expert.complaints() == []


def test_letters_count_by_their_place_on_a_korean_keyboard(
    expert: Reader, cases: tuple[str, list[str]]
) -> None:
    expert.go("/desk")
    press(expert, "n")
    at(expert, cases[1][0])
    before = expert.texts("#compare .code")
    expert.chrome.execute_script(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', "
        "{key: 'ㅓ', code: 'KeyJ', bubbles: true}))"
    )
    expert.until(lambda: expert.texts("#compare .code") != before)


def test_who_lost_a_case_is_told_while_the_page_is_open(
    app: FastAPI, expert: Reader, cases: tuple[str, list[str]]
) -> None:
    expert.go("/desk")
    press(expert, "n")
    at(expert, cases[1][0])
    with logged_in(expert.server, "expert@example.com") as elsewhere:
        released = elsewhere.post(f"/desk/{cases[1][0]}/release")
        assert released.status_code == 303
    expert.chrome.execute_script(
        "const now = performance.now.bind(performance); performance.now = () => now() + 4e6;"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expert.until(lambda: expert.one("[data-lost]").is_displayed())


def test_matching_details_are_drawn_on_both_photos_by_a_key(
    expert: Reader, app: FastAPI, cases: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def regions(own: str, reference: str) -> tuple[Region, ...]:
        asked.append((own, reference))
        box, other = Box(0.1, 0.2, 0.3, 0.4), Box(0.5, 0.5, 0.9, 0.7)
        return (Region(box, other, 9), Region(other, box, 5)) if len(asked) == 1 else ()

    monkeypatch.setattr(app.state.market.regions, "of", regions)
    listing = cases[1][0]
    expert.go(f"/desk/{listing}")
    press(expert, "m")
    expert.until(lambda: expert.texts(".regions-said") != [""])
    expert.until(lambda: "2" in expert.texts(".regions-said")[0])
    expert.until(lambda: len(expert.all(".pane svg .over")) == 4)
    for side in ("own", "reference"):
        numbers = expert.all(f"[data-side={side}] svg text")
        assert [one.get_attribute("textContent") for one in numbers] == ["1", "2"]
    first = expert.one("[data-side=own] svg .over")
    image = expert.one("[data-side=own] img")
    width = expert.chrome.execute_script("return arguments[0].naturalWidth", image)
    assert float(str(first.get_attribute("x"))) == pytest.approx(0.1 * width)
    press(expert, "j")  # another candidate: asked for anew, and nothing is drawn
    expert.until(lambda: len(asked) == 2)
    expert.until(lambda: "No details" in expert.texts(".regions-said")[0])
    assert expert.all(".pane svg .over") == []
    press(expert, "k")  # known already
    expert.until(lambda: len(expert.all(".pane svg .over")) == 4)
    assert len(asked) == 2
    assert asked[0][0] == app.state.market.goods.listings.get(listing).photos[0].sha256
    assert asked[0][0] == asked[1][0]
    press(expert, "m")
    assert expert.all(".pane svg .over") == []
    assert expert.texts(".regions-said") == [""]
    assert expert.complaints() == []
