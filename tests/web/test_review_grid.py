"""The review as a grid: many photos in one decision, over HTTP and in a browser."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys

from satchel.web.app import create_app
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader

CODES = ("A/01 B?", "M22675", "Z-9", "가방-7")


@pytest.fixture
def links(own_workspace: Workspace) -> list[int]:
    """Eight photos in doubt, two of each product; those of one are blurred, the others dark."""
    catalogue = own_workspace.catalogue
    photos = [photo for code in CODES for photo in catalogue.review.of_product(code)]
    catalogue.curation.set_states(
        (one.link_id, "doubtful", [{"kind": "blurred" if one.code == "Z-9" else "too_dark"}])
        for one in photos
    )
    return sorted(one.link_id for one in photos)


@pytest.fixture
def site(
    own_workspace: Workspace, links: list[int], serve_app: Callable[[FastAPI], httpx.Client]
) -> httpx.Client:
    return serve_app(create_app(own_workspace))


def states(workspace: Workspace, links: list[int]) -> list[str]:
    return [workspace.catalogue.review.photo(link).state for link in links]


def test_many_photos_are_decided_on_and_undone_at_once(
    site: httpx.Client, own_workspace: Workspace, links: list[int]
) -> None:
    form = {"choice": "drop", "link_id": [*links[:3], links[0]], "who": "지민"}
    page = site.post("/review/grid/decide", data=form, headers={"hx-request": "true"})
    assert "<html" not in page.text
    assert page.text.count('name="link_id"') == 5
    assert states(own_workspace, links[:4]) == ["dropped"] * 3 + ["doubtful"]
    (decision,) = own_workspace.catalogue.review.history()
    assert (len(decision.subjects), decision.by) == (3, "지민")
    undone = site.post("/review/grid/undo", data={"decision": decision.id})
    assert undone.headers["location"] == "/review/grid"
    assert states(own_workspace, links) == ["doubtful"] * 8


def test_a_page_of_the_grid_and_a_reason(
    site: httpx.Client, links: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satchel.web.pages.review_grid.PAGE_PHOTOS", 3)
    first = site.get("/review/grid").text
    assert first.count('name="link_id"') == 3
    assert f'href="/review/grid?after={links[2]}"' in first
    assert site.get("/review/grid?kind=blurred").text.count('name="link_id"') == 2


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"choice": "keep"}, 422),
        ({"choice": "keep", "link_id": ["x"]}, 422),
        ({"choice": "move", "link_id": ["1"]}, 422),
        ({"choice": "keep", "link_id": ["999999"]}, 404),
        ({"choice": "keep", "link_id": ["1"] * 61}, 422),
    ],
)
def test_wrong_forms_change_nothing(
    site: httpx.Client,
    own_workspace: Workspace,
    links: list[int],
    form: dict[str, object],
    status: int,
) -> None:
    assert site.post("/review/grid/decide", data=form).status_code == status
    assert states(own_workspace, links) == ["doubtful"] * 8


@pytest.mark.browser
@BROWSER_MARKS[1]
def test_photos_are_chosen_by_keys_and_by_mouse(
    chrome: Chrome,
    own_workspace: Workspace,
    links: list[int],
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> None:
    with run_server(create_app(own_workspace)) as url:
        reader = Reader(chrome, url)
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        reader.resize(1280, 900)
        reader.complaints()
        reader.go("/review/grid")

        def press(*keys: str) -> None:
            ActionChains(chrome).send_keys(*keys).perform()

        def chosen() -> int:
            return int(reader.one("#chosen").text)

        photos = reader.all(".sheet label")
        photos[1].click()
        shift = ActionChains(chrome).key_down(Keys.SHIFT).click(photos[4])
        shift.key_up(Keys.SHIFT).perform()
        assert chosen() == 4
        press("d")
        reader.until(lambda: len(reader.all(".sheet label")) == 4)
        assert states(own_workspace, links) == ["doubtful"] + ["dropped"] * 4 + ["doubtful"] * 3
        press("u")
        reader.until(lambda: len(reader.all(".sheet label")) == 8)
        reader.all(".sheet input")[0].send_keys(Keys.SPACE)
        press(Keys.ARROW_RIGHT, Keys.SPACE)
        ActionChains(chrome).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(
            Keys.SHIFT
        ).perform()
        assert chosen() == 3
        press("k")
        reader.until(lambda: len(reader.all(".sheet label")) == 5)
        press("a", "d")
        reader.until(lambda: reader.all(".nothing"))
        assert states(own_workspace, links) == ["kept"] * 3 + ["dropped"] * 5
        reader.resize(360, 740)
        reader.go("/review/grid?state=dropped")
        assert chrome.execute_script("return document.documentElement.scrollWidth <= 360")
        assert reader.complaints() == []
