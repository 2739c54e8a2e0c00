"""A good's whole way in a real browser, by three people: listed, certified, reserved."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from selenium.webdriver import Chrome

from conftest import draw
from satchel.images import encode_jpeg
from satchel.jobs.worker import Worker
from satchel.market.listings.states import State
from satchel.market.roles import Role
from satchel.workflows.jobs import handlers_of
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader
from support.market import PASSWORD, Mailbox, make_account, market_app
from support.pictures import rgb
from web.conftest import CODES

pytestmark = [*BROWSER_MARKS, pytest.mark.flow]

WORDS = {
    "en": ("Waiting for certification", "More photos needed", "Certified", "On sale", "Reserved"),
    "ko": ("감정 대기", "추가 사진 필요", "감정 완료", "판매 중", "예약됨"),
}


def worn(seed: int) -> bytes:
    """A good that looks like no photo of the catalogue: a star, each time turned a little."""
    picture = draw("none", seed)
    for angle in np.deg2rad(np.arange(0, 180, 30) + seed % 7):
        across, down = round(90 * np.cos(angle)), round(90 * np.sin(angle))
        cv2.line(picture, (160 - across, 120 - down), (160 + across, 120 + down), (40, 160, 60), 9)
    return encode_jpeg(rgb(picture), 90)


class Person(Reader):
    """Someone with an account."""

    def log_in(self, name: str, language: str) -> None:
        self.chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.go(f"/login?lang={language}")
        self.type("[name=email]", f"{name}@example.com")
        self.type("[name=password]", PASSWORD)
        self.press("main button.primary")
        self.until(lambda: self.all(".own-link[href='/account']"))

    def type(self, selector: str, text: str) -> None:
        self.one(selector).send_keys(text)

    def press(self, selector: str) -> None:
        self.chrome.execute_script(
            "arguments[0].scrollIntoView({block: 'center'})", self.one(selector)
        )
        self.one(selector).click()

    def shows(self, state: str) -> bool:
        return self.texts(".listing > header .state, .about .state") == [state]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_good_goes_all_its_way(
    language: str,
    chrome: Chrome,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
    tmp_path: Path,
) -> None:
    mailbox = Mailbox()
    app = market_app(own_workspace, mailbox)
    make_account(own_workspace, "expert@example.com", Role.EXPERT)
    make_account(own_workspace, "buyer@example.com")
    photos = [tmp_path / f"{seed}.jpg" for seed in range(4)]
    for seed, path in enumerate(photos):
        path.write_bytes(worn(70 + seed))
    waiting, asked, certified, on_sale, reserved = WORDS[language]
    with run_server(app) as url:
        person = Person(chrome, url)
        person.resize(1280, 900)
        chrome.get("about:blank")  # else the page of an earlier test asks its server on
        person.complaints()  # of earlier tests
        register(person, mailbox, language)
        before = candidates(url)
        right = before[-1]  # the most unlike: nobody would guess it

        person.log_in("seller", language)
        person.go("/sell")
        person.press("form.begin button")
        person.one("input[type=file]").send_keys("\n".join(map(str, photos[:3])))
        person.until(lambda: len(person.all(".shots li")) == 3)
        person.until(lambda: len(person.all(".picks li")) == min(5, len(CODES)))
        person.press(".picks li:not(.chosen) .choose")
        person.until(lambda: person.all(".picks .chosen"))
        person.press(".grades label:nth-of-type(4)")
        person.type("[name=price_krw]", "1,250,000")
        person.press("[name=consent_gallery]")
        person.press("button[name=submit]")
        person.until(lambda: person.shows(waiting))
        listing = chrome.current_url.partition("/listings/")[2].partition("?")[0]

        person.log_in("expert", language)
        person.go("/desk")
        person.press("form[action*='next'] button")
        person.until(lambda: listing in chrome.current_url)
        person.press("summary[data-key=a]")
        person.press("[name=photo][value=inside_tag]")
        person.press("form[action*='/ask'] button")
        person.until(lambda: state(app, listing) is State.PHOTOS_ASKED)

        person.log_in("seller", language)
        person.go(f"/listings/{listing}")
        assert person.shows(asked)
        person.one("input[type=file]").send_keys(str(photos[3]))
        person.until(lambda: len(person.all(".shots li")) == 4)
        person.press("button[name=submit]")
        person.until(lambda: person.shows(waiting))

        person.log_in("expert", language)
        person.go("/desk")
        person.press("form[action*='next'] button")
        person.until(lambda: person.all("#certify"))
        person.press(f"[name=code][value='{right}']")
        person.press("#certify-now")
        person.until(lambda: state(app, listing) is State.CERTIFIED)

        person.log_in("seller", language)
        person.go(f"/listings/{listing}")
        assert person.shows(certified)
        person.press("form[action$='/offer'] button")
        person.until(lambda: person.shows(on_sale))

        person.log_in("buyer", language)
        person.go("/goods")
        person.press(f"a[href='/goods/{listing}']")
        person.press("form[action$='/reserve'] button")
        person.until(lambda: person.shows(reserved))
        assert state(app, listing) is State.RESERVED
        assert person.complaints() == []

        engine = own_workspace.catalogue.engine
        Worker(engine, handlers_of(own_workspace)).run(Event().is_set, once=True)
        assert candidates(url)[0] == right


def register(person: Person, mailbox: Mailbox, language: str) -> None:
    """Register as a seller, and confirm the address."""
    person.chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    person.go(f"/register?lang={language}")
    for name, text in (("email", "seller@example.com"), ("name", "Seller"), ("password", PASSWORD)):
        person.type(f"[name={name}]", text)
    person.press("[name=terms]")
    person.press("main button.primary")
    person.go(f"/confirm?token={mailbox.token()}")
    person.press("main button.primary")
    person.until(lambda: person.all("[name=password]"))


def candidates(url: str) -> list[str]:
    """Codes of a new photo of such a good, the likeliest first."""
    files = {"photos": ("new.jpg", worn(79))}
    answer = httpx.post(f"{url}/api/v1/identify?top=50", files=files, timeout=60)
    return [one["code"] for one in answer.json()["candidates"]]


def state(app: FastAPI, listing: str) -> State:
    found: State = app.state.market.goods.listings.get(listing).state
    return found
