"""The seller's page in a real browser: boxes on photos, filters, order, and a lost connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from selenium.webdriver import ActionChains, Chrome, Keys

from conftest import jpeg
from satchel.web.visitors import COOKIE
from satchel.workflows.index import index_catalogue
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader
from support.goods import API, ok
from support.market import logged_in, make_account, market_app
from support.stub_detector import write_detector
from web.conftest import CODES

pytestmark = [*BROWSER_MARKS, pytest.mark.flow]

OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


class Seller(Reader):
    """A seller with a draft of which photos are on the page."""

    def __init__(self, chrome: Chrome, client: httpx.Client) -> None:
        super().__init__(chrome, str(client.base_url).rstrip("/"))
        self._client = client
        self.listing = str(ok(client.post(f"{API}/listings"), 201)["id"])
        self.go("/static/favicon.svg")
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        chrome.add_cookie({"name": COOKIE, "value": client.cookies[COOKIE]})
        self.resize(1280, 900)
        self.complaints()

    def stored(self) -> Any:
        return ok(self._client.get(f"{API}/listings/{self.listing}"))

    def shas(self) -> list[str]:
        return [str(one["sha256"]) for one in self.stored()["photos"]]

    def shown(self) -> list[str]:
        script = "return [...document.querySelectorAll('.photo')].map(e => e.dataset.sha)"
        found: list[str] = self.chrome.execute_script(script)
        return found

    def add(self, *photos: Path) -> None:
        before = len(self.shown())
        self.one("input[type=file]").send_keys("\n".join(map(str, photos)))
        self.until(lambda: len(self.shown()) == before + len(photos))

    def codes(self) -> list[str]:
        return self.texts("#candidates .picks code")

    def box(self) -> list[float] | None:
        box: list[float] | None = self.stored()["photos"][0]["box"]
        return box

    def named_by(self, box: list[float] | None) -> bool:
        """Whether the last answer is that of this box, and the page shows it."""
        stored = self.stored()
        if stored["photos"][0]["box"] != box or not stored["machine"]:
            return False
        found = stored["machine"]["boxes"][0]
        script = "return JSON.parse(document.getElementById('candidates').dataset.located)"
        shown = self.chrome.execute_script(script)[stored["photos"][0]["sha256"]]["box"]
        at = [found[name] for name in ("x0", "y0", "x1", "y1")]
        return shown == at and (box is None or at == pytest.approx(box, abs=1e-3))


@pytest.fixture
def seller(
    chrome: Chrome,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[Seller]:
    """With a detector that finds both halves of a photo as goods, and two brands."""
    own_workspace.catalogue.edits.edit(CODES[3], {"brand": "Atelier"})
    write_detector(own_workspace.folder, fit="stretch")
    settings = '[locate]\nmodel = "stub.json"\nscore = 0.5\n'
    (own_workspace.folder / "satchel.toml").write_text(settings)
    opened = Workspace.open(own_workspace.folder)
    index_catalogue(opened)
    make_account(opened, "seller@example.com")
    with (
        run_server(market_app(opened)) as url,
        logged_in(url, "seller@example.com") as client,
    ):
        made = Seller(chrome, client)
        yield made
        chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        assert made.complaints() == []
    opened.catalogue.close()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number}.jpg" for number in range(3)]
    for number, path in enumerate(made):
        path.write_bytes(jpeg("disc", 50 + number))
    return made


def test_another_good_is_taken_and_a_box_drawn(seller: Seller, photos: list[Path]) -> None:
    seller.go(f"/listings/{seller.listing}")
    seller.add(photos[0])
    seller.until(lambda: seller.all(".photo .box:not([hidden])"))
    assert seller.named_by(None)
    seller.one(".photo .stage.fits .other").send_keys(Keys.ENTER)  # by keyboard
    seller.until(seller.box)
    taken = seller.box()
    assert taken is not None
    assert taken[2] - taken[0] == pytest.approx(0.5, abs=0.01)
    seller.until(lambda: seller.named_by(taken))
    assert seller.codes()

    stage = seller.one(".photo .stage.fits")  # drawn with the mouse
    width, height = stage.size["width"], stage.size["height"]
    chain = ActionChains(seller.chrome, duration=20)
    chain.move_to_element_with_offset(stage, -width // 2 + 4, -height // 2 + 4)
    chain.click_and_hold().move_by_offset(width // 4, height // 4)
    chain.move_by_offset(width // 8, height // 8).release().perform()
    seller.until(lambda: seller.box() != taken)
    drawn = seller.box()
    seller.until(lambda: seller.named_by(drawn))
    seller.go(f"/listings/{seller.listing}")  # it is kept
    seller.until(lambda: seller.all(".photo .by-hand, .photo.by-hand"))
    seller.one(".photo .reset").click()
    seller.until(lambda: seller.named_by(None))


def test_a_box_is_moved_by_finger(seller: Seller, photos: list[Path]) -> None:
    seller.resize(390, 844)
    seller.chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    seller.go(f"/listings/{seller.listing}")
    seller.add(photos[0])
    seller.until(lambda: seller.all(".photo .box:not([hidden])"))
    located = seller.stored()["machine"]["boxes"][0]
    left, right = located["x0"], located["x1"]
    middle = (left + right) / 2
    touch(seller, (middle, 0.5))  # a tap: from now on a finger moves it
    seller.until(lambda: seller.all(".photo.editing"))
    aside = 0.2 if left < 0.1 else -0.2
    touch(seller, (middle, 0.5), (middle + aside / 2, 0.5), (middle + aside, 0.5))
    seller.until(seller.box)
    assert seller.box() == pytest.approx([left + aside, 0, right + aside, 1], abs=0.03)
    seller.until(lambda: seller.named_by(seller.box()))


def test_candidates_are_filtered_by_brand_and_the_catalogue_is_searched(
    seller: Seller, photos: list[Path]
) -> None:
    seller.go(f"/listings/{seller.listing}")
    seller.add(photos[0])
    seller.until(lambda: len(seller.codes()) == len(CODES))
    seller.one("#name-it summary").click()
    seller.one("#narrow select").send_keys("Atelier")
    seller.until(lambda: seller.codes() == [CODES[3]])
    assert "Atelier" in seller.one("#candidates .soft").text
    seller.one("#narrow select").send_keys("Any")
    seller.until(lambda: len(seller.codes()) == len(CODES))
    seller.one("#product > details summary").click()
    seller.one("#query").send_keys("가방")
    seller.until(lambda: seller.texts("#matches code") == [CODES[2]])


def test_photos_wait_for_the_connection_and_are_put_in_order(
    seller: Seller, photos: list[Path]
) -> None:
    seller.go(f"/listings/{seller.listing}")
    seller.chrome.execute_cdp_cmd("Network.enable", {})
    seller.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", OFFLINE)
    try:
        seller.one("input[type=file]").send_keys("\n".join(map(str, photos)))
        seller.until(lambda: len(seller.all(".sending li")) == 3)
        seller.until(lambda: all("Not sent yet" in one for one in seller.texts(".sending li")))
        assert seller.shown() == []
    finally:
        online = OFFLINE | {"offline": False}
        seller.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", online)
    seller.until(lambda: len(seller.shown()) == 3 and not seller.all(".sending li"))
    first, second, third = seller.shas()
    seller.one(f"form[action$='{second}'] [value=later]").click()
    seller.until(lambda: seller.shown() == [first, third, second])
    seller.one(f"form[action$='{second}'] [value=cover]").click()
    seller.until(lambda: seller.shown() == [second, first, third])
    assert seller.shas() == [second, first, third]
    seller.one(f"form[action$='{first}'] [value=earlier]").click()
    seller.until(lambda: seller.shown() == [first, second, third])
    seller.complaints()  # the browser's own, of the lost connection


@pytest.mark.parametrize("finger", [False, True])
def test_photos_are_dragged_into_order(seller: Seller, photos: list[Path], finger: bool) -> None:
    if finger:
        seller.resize(390, 844)
        seller.chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    seller.go(f"/listings/{seller.listing}")
    seller.add(*photos)
    first, second, third = seller.shas()
    drag(seller, third, first, finger=finger)
    seller.until(lambda: seller.shown() == [third, first, second])
    assert seller.shas() == [third, first, second]
    wide = "return document.documentElement.scrollWidth <= innerWidth"
    assert seller.chrome.execute_script(wide)
    seller.chrome.execute_cdp_cmd("Network.enable", {})
    seller.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", OFFLINE)
    try:
        drag(seller, second, third, finger=finger)
        seller.until(lambda: seller.all("#not-moved:not([hidden])"))
        assert seller.shown() == [third, first, second] == seller.shas()
    finally:
        online = OFFLINE | {"offline": False}
        seller.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", online)
    seller.until(lambda: seller.shown() == [second, third, first])  # sent again
    assert seller.shas() == [second, third, first]
    assert not seller.all("#not-moved:not([hidden])")
    seller.complaints()  # the browser's own, of the lost connection


def drag(seller: Seller, sha: str, before: str, *, finger: bool) -> None:
    """Drag a photo by its grip onto the first half of another one."""
    script = (
        "const item = (sha) => document.querySelector(`[data-sha='${sha}']`).closest('li');"
        "item(arguments[1]).scrollIntoView({block: 'center', behavior: 'instant'});"
        "const [g, r] = [item(arguments[0]).querySelector('.grip'), item(arguments[1])]"
        ".map(e => e.getBoundingClientRect());"
        "return [g.left + g.width / 2, g.top + g.height / 2, r.left + r.width / 4, r.top + 60]"
    )
    x, y, to_x, to_y = seller.chrome.execute_script(script, sha, before)
    path = [(x, y), ((x + to_x) / 2, (y + to_y) / 2), (to_x, to_y)]
    kinds = ("touchStart", "touchMove") if finger else ("mousePressed", "mouseMoved")
    for step, (left, top) in enumerate(path):
        point: dict[str, Any] = {"type": kinds[min(step, 1)]}
        if finger:
            point["touchPoints"] = [{"x": left, "y": top}]
        else:
            point |= {"x": left, "y": top, "button": "left", "buttons": 1, "clickCount": 1}
        seller.chrome.execute_cdp_cmd(f"Input.dispatch{'Touch' if finger else 'Mouse'}Event", point)
    seller.until(lambda: seller.all(".goes-before"))
    if finger:
        end: dict[str, Any] = {"type": "touchEnd", "touchPoints": []}
        seller.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", end)
    else:
        end = {"type": "mouseReleased", "x": to_x, "y": to_y, "button": "left", "clickCount": 1}
        seller.chrome.execute_cdp_cmd("Input.dispatchMouseEvent", end)


def touch(seller: Seller, *points: tuple[float, float]) -> None:
    """Touch the photo at the first point, move over the others, and let go."""
    stage = seller.one(".photo .stage.fits")
    area = seller.chrome.execute_script(
        "arguments[0].scrollIntoView({block: 'center'});"
        "const r = arguments[0].getBoundingClientRect(); return [r.left, r.top, r.width, r.height]",
        stage,
    )

    def dispatch(kind: str, *at: tuple[float, float]) -> None:
        touches = [{"x": area[0] + x * area[2], "y": area[1] + y * area[3]} for x, y in at]
        event = {"type": kind, "touchPoints": touches}
        seller.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    dispatch("touchStart", points[0])
    for point in points[1:]:
        dispatch("touchMove", point)
    dispatch("touchEnd")
