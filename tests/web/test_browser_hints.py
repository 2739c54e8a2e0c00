"""Filters and boxes in a real browser: on phones and desktops, in both languages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from fastapi import FastAPI
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from satchel.web.app import create_app
from satchel.web.kept import Kept
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader

pytestmark = BROWSER_MARKS

BRANDS = {"M22675": "Maison", "A/01 B?": "Maison", "가방-7": "구찌", "Z-9": "구찌"}


@pytest.fixture
def app(own_workspace: Workspace) -> FastAPI:
    """A catalogue of two brands."""
    catalogue = own_workspace.catalogue
    with catalogue.writing() as writer:
        for code, number in catalogue.ids_of_codes().items():
            writer.set_product(number, {"brand": BRANDS[code], "category": code[:1]})
    return create_app(own_workspace)


@pytest.fixture(params=["desktop en", "phone ko"])
def reader(
    request: pytest.FixtureRequest,
    chrome: Chrome,
    app: FastAPI,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[Reader]:
    device, language = request.param.split()
    with run_server(app) as url:
        chrome.get("about:blank")
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": device == "phone"})
        reader = Reader(chrome, url)
        reader.resize(*((1280, 900) if device == "desktop" else (390, 844)))
        reader.go(f"/?lang={language}")
        reader.complaints()
        yield reader
        assert reader.complaints() == []
        width = chrome.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert width <= 0
        chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        chrome.get("about:blank")


def codes(reader: Reader) -> list[str]:
    return reader.texts(".candidate .code code")


def choose(reader: Reader, number: int, text: str) -> None:
    Select(reader.one(f"#filter-{number}")).select_by_visible_text(text)


def options(reader: Reader, number: int) -> list[str]:
    return reader.texts(f"#filter-{number} option")


def test_a_brand_that_is_chosen_first_is_the_only_one(reader, photo):
    choose(reader, 1, "구찌 (2)")
    reader.until(lambda: len(options(reader, 2)) == 3)  # any, and two categories
    reader.send(photo("M22675"))
    reader.until(lambda: set(codes(reader)) == {"가방-7", "Z-9"})
    assert "구찌" in reader.one(".among").text
    assert len(options(reader, 1)) == 3  # the other brand can still be chosen


def test_an_answer_follows_a_filter_without_the_button(reader, photo):
    reader.send(photo("가방-7"))
    reader.until(lambda: len(codes(reader)) == 4)
    select = reader.one("#filter-1")
    reader.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", select)
    select.click()
    choose(reader, 1, "구찌 (2)")
    reader.until(lambda: set(codes(reader)) == {"가방-7", "Z-9"})
    reader.until(lambda: reader.all(".previews .box:not([hidden])"))
    reader.until(
        lambda: reader.chrome.switch_to.active_element.get_attribute("id") == "filter-1"
    )  # where the reader was
    choose(reader, 1, options(reader, 1)[0])
    reader.until(lambda: len(codes(reader)) == 4)
    assert not reader.all(".among")


def test_photos_of_different_items_are_identified_apart(reader, photo):
    reader.send(photo("M22675", 0, "bag.jpg"), photo("Z-9", 0, "star.jpg"))
    reader.until(lambda: len(reader.all("[data-only]")) == 2 and not reader.all("form.working"))
    reader.all("[data-only]")[1].click()
    reader.until(lambda: len(reader.all(".previews li")) == 1)
    reader.until(lambda: codes(reader)[:1] == ["Z-9"] and not reader.all("form.working"))
    assert not reader.all("[data-only]")


# -- boxes --------------------------------------------------------------------------------------


def ready(reader: Reader) -> None:
    """Wait for an answer."""
    reader.until(lambda: reader.all(".candidate") and not reader.all("form.working"))


def boxes(reader: Reader) -> list[list[float]]:
    """Boxes of the answer that is shown."""
    script = "return document.querySelector('.found')?.dataset.boxes ?? '[[0, 0, 0, 0]]'"
    found: list[list[float]] = json.loads(reader.chrome.execute_script(script))
    return found


def watch_requests(reader: Reader) -> None:
    """Note the fields of every form that is sent from now on; see `sent`."""
    reader.chrome.execute_script("""
        const before = XMLHttpRequest.prototype.send;
        window.sent = [];
        XMLHttpRequest.prototype.send = function (body) {
            if (body) window.sent.push([...body.keys()]);
            return before.call(this, body);
        };
    """)


def sent(reader: Reader) -> list[list[str]]:
    """Fields of the forms that were sent, without the filters."""
    forms = reader.chrome.execute_script("return window.sent")
    return [[name for name in form if name != "where"] for form in forms]


def at(reader: Reader, x: float, y: float) -> tuple[int, int]:
    """A point of the photo, by fractions, in pixels from the middle of the photo."""
    size = reader.one(".stage").size
    return round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"])


def drag(reader: Reader, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the photo with the mouse, from and to fractions of it."""
    stage = reader.one(".stage")
    (x0, y0), (x1, y1) = at(reader, *start), at(reader, *end)
    chain = ActionChains(reader.chrome, duration=20)
    chain.move_to_element_with_offset(stage, x0, y0).click_and_hold()
    chain.move_by_offset((x1 - x0) // 2, (y1 - y0) // 2)
    chain.move_to_element_with_offset(stage, x1, y1).release().perform()


def touch(reader: Reader, *points: tuple[float, float]) -> None:
    """Touch the photo at the first point, move over the others, and let go."""
    area = reader.chrome.execute_script(
        "const r = document.querySelector('.stage').getBoundingClientRect();"
        "return [r.left, r.top, r.width, r.height]"
    )

    def dispatch(kind: str, *at: tuple[float, float]) -> None:
        touches = [{"x": area[0] + x * area[2], "y": area[1] + y * area[3]} for x, y in at]
        event = {"type": kind, "touchPoints": touches}
        reader.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    dispatch("touchStart", points[0])
    for point in points[1:]:
        dispatch("touchMove", point)
    dispatch("touchEnd")


def tapped(reader: Reader) -> bool:
    """Tap the middle of the photo; whether its box can be edited now."""
    touch(reader, (0.5, 0.5))
    return bool(reader.all(".editing"))


@pytest.mark.parametrize("reader", ["desktop en"], indirect=True)
def test_a_box_is_drawn_with_the_mouse_and_no_photo_is_sent_again(reader, photo):
    reader.send(photo("M22675"))
    ready(reader)
    watch_requests(reader)
    located = boxes(reader)[0]
    drag(reader, (0.02, 0.03), (0.5, 0.6))
    reader.until(lambda: boxes(reader)[0] != located)
    ready(reader)
    assert boxes(reader)[0] == pytest.approx([0.02, 0.03, 0.5, 0.6], abs=0.02)
    assert sent(reader) == [["kept", "box"]]
    assert reader.all(".previews .by-hand .box:not([hidden])")
    reader.one(".reset").click()
    reader.until(lambda: boxes(reader)[0] == located)
    assert sent(reader)[1] == ["kept"]


@pytest.mark.parametrize("reader", ["desktop en"], indirect=True)
def test_a_box_is_moved_and_resized_with_the_mouse(reader, photo):
    reader.send(photo("M22675"))
    ready(reader)
    drag(reader, (0.02, 0.03), (0.4, 0.5))
    reader.until(lambda: boxes(reader)[0] == pytest.approx([0.02, 0.03, 0.4, 0.5], abs=0.02))
    ready(reader)
    drag(reader, (0.2, 0.25), (0.4, 0.35))  # by its middle
    reader.until(lambda: boxes(reader)[0] == pytest.approx([0.22, 0.13, 0.6, 0.6], abs=0.03))
    ready(reader)
    drag(reader, (0.6, 0.6), (0.8, 0.9))  # by its corner
    reader.until(lambda: boxes(reader)[0] == pytest.approx([0.22, 0.13, 0.8, 0.9], abs=0.03))
    ready(reader)
    before = boxes(reader)[0]
    drag(reader, (0.05, 0.95), (0.06, 0.95))  # a slip of the hand changes nothing
    assert boxes(reader)[0] == before
    drag(reader, (0.5, 0.5), (2.0, 0.5))  # nor does it leave the photo
    reader.until(lambda: boxes(reader)[0][2] == 1.0)
    assert boxes(reader)[0][0] == pytest.approx(0.42, abs=0.03)


def test_a_box_is_moved_by_keys(reader, photo):
    reader.send(photo("M22675"))
    ready(reader)
    before = boxes(reader)[0]
    box = reader.one(".previews .box")
    label = box.get_attribute("aria-label")
    box.send_keys(Keys.ARROW_LEFT * 3, Keys.ARROW_UP)
    moved = [before[0] - 0.03, before[1] - 0.01, before[2] - 0.03, before[3] - 0.01]
    reader.until(lambda: boxes(reader)[0] == pytest.approx(moved, abs=0.001))
    ready(reader)
    assert box.get_attribute("aria-label") != label
    assert reader.chrome.switch_to.active_element == box  # where the reader was
    box.send_keys(Keys.SHIFT, Keys.ARROW_LEFT * 2, Keys.ARROW_UP)
    resized = [*moved[:2], moved[2] - 0.02, moved[3] - 0.01]
    reader.until(lambda: boxes(reader)[0] == pytest.approx(resized, abs=0.001))
    ready(reader)


@pytest.mark.parametrize("reader", ["phone ko"], indirect=True)
def test_a_finger_scrolls_until_the_photo_was_tapped(reader, photo):
    reader.send(photo("M22675"))
    ready(reader)
    located = boxes(reader)[0]
    reader.chrome.execute_script("document.querySelector('.stage').scrollIntoView()")
    touch(reader, (0.1, 0.1), (0.3, 0.3), (0.5, 0.5))
    assert not reader.all(".editing")
    reader.chrome.execute_script("document.querySelector('.stage').scrollIntoView()")
    reader.until(lambda: tapped(reader))
    assert boxes(reader)[0] == located
    touch(reader, (0.05, 0.05), (0.3, 0.3), (0.6, 0.7))
    reader.until(lambda: boxes(reader)[0] == pytest.approx([0.05, 0.05, 0.6, 0.7], abs=0.02))
    ready(reader)


def test_photos_that_the_server_dropped_are_sent_again_without_asking(reader, photo, app):
    reader.send(photo("M22675"))
    ready(reader)
    watch_requests(reader)
    uploads = app.state.server.uploads
    app.state.server.uploads = Kept(max_bytes=10**9, max_count=9, max_of_session=9, max_age_s=60)
    reader.one(".previews .box").send_keys(Keys.ARROW_LEFT)
    reader.until(lambda: len(sent(reader)) == 2)
    ready(reader)
    assert sent(reader) == [["kept", "box"], ["photos", "box"]]
    assert not reader.all(".problem")
    assert all("410" in complaint for complaint in reader.complaints())  # as browsers log it
    assert len(app.state.server.uploads) == 1
    assert uploads is not app.state.server.uploads


def test_an_answer_follows_a_filter_without_sending_photos(reader, photo):
    reader.send(photo("가방-7"), photo("M22675", 0, "second.jpg"))
    ready(reader)
    watch_requests(reader)
    choose(reader, 1, "구찌 (2)")
    reader.until(lambda: set(codes(reader)) == {"가방-7", "Z-9"})
    assert sent(reader) == [["kept", "kept"]]
    reader.all(".previews .remove")[0].click()
    reader.until(lambda: len(reader.all(".previews li")) == 1)
    reader.one("#photos").send_keys(str(photo("Z-9", 0, "third.jpg")))
    reader.until(lambda: len(reader.all(".previews li")) == 2)
    reader.one("#submit").click()
    ready(reader)
    assert sent(reader)[1] == ["kept", "photos"]


def test_a_box_drawn_before_the_first_answer_goes_along(reader, photo):
    reader.one("#photos").send_keys(str(photo("M22675")))
    reader.until(lambda: reader.all(".stage.fits"))
    if reader.chrome.execute_script("return matchMedia('(pointer: coarse)').matches"):
        reader.until(lambda: tapped(reader))
        touch(reader, (0.1, 0.1), (0.3, 0.3), (0.6, 0.6))
    else:
        drag(reader, (0.1, 0.1), (0.6, 0.6))
    reader.until(lambda: reader.all(".by-hand"))
    assert not reader.all(".candidate")
    reader.one("#submit").click()
    ready(reader)
    assert boxes(reader)[0] == pytest.approx([0.1, 0.1, 0.6, 0.6], abs=0.02)


# -- feedback -----------------------------------------------------------------------------------


def test_an_answer_is_confirmed_and_rejected_in_place(reader, photo, own_workspace):
    reader.send(photo("Z-9"))
    ready(reader)
    button = reader.all(".candidate .choose")[0]
    assert reader.texts(".choose")[0] in ("This one", "이 상품이에요")
    button.click()
    reader.until(lambda: "Z-9" in "".join(reader.texts(".said")))
    assert reader.all(".candidate")  # the answer stays
    reader.one("#feedback .quiet").click()
    reader.until(lambda: "Z-9" not in "".join(reader.texts(".said")))
    (stored,) = own_workspace.catalogue.feedback.all()
    assert stored.code is None


# -- another product ----------------------------------------------------------------------------


def test_the_right_product_is_searched_and_said_by_keyboard(reader, photo, own_workspace):
    reader.send(photo("Z-9"))
    ready(reader)
    reader.one(".another summary").send_keys(Keys.ENTER)
    reader.until(lambda: reader.one("#other").is_displayed())
    reader.one("#other").send_keys("구찌 가방")
    reader.until(lambda: reader.texts(".others .code") == ["가방-7"])
    reader.chrome.execute_script("document.querySelector('.others').id = 'before'")
    reader.one("#other").send_keys(Keys.ENTER)  # searches again, and leaves the page as it is
    reader.until(lambda: reader.all(".others:not(#before)"))
    assert reader.texts(".others .code") == ["가방-7"]
    reader.until(lambda: reader.one(".others .choose").is_displayed())  # not while it is replaced
    reader.press_enter(".others .choose")
    reader.until(lambda: "가방-7" in reader.one("#said").text)
    (stored,) = own_workspace.catalogue.feedback.all()
    assert stored.code == "가방-7"
    top = reader.chrome.execute_script(
        "return document.getElementById('said').getBoundingClientRect().top"
    )
    assert 0 <= top < reader.chrome.execute_script("return window.innerHeight")
