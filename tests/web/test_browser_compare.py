"""Comparing photos, reloading an answer, and sending smaller photos, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from support.browser import BROWSER_MARKS, Reader

pytestmark = BROWSER_MARKS

Photo = Callable[..., Path]


def scale(reader: Reader, side: str) -> float:
    script = """
        const image = document.querySelector(`[data-side=${arguments[0]}] .pane img`);
        return new DOMMatrix(getComputedStyle(image).transform).a;
    """
    return round(float(reader.chrome.execute_script(script, side)), 2)


def compared(reader: Reader, photo: Photo) -> None:
    reader.go("/")
    reader.send(photo("Z-9"), photo("Z-9", 1, "second.jpg"))
    reader.until(lambda: reader.all(".candidate"))
    reader.one(".candidate [data-compare]").send_keys(Keys.ENTER)
    reader.until(lambda: reader.texts("#compare .code") == ["Z-9"])
    reader.until(lambda: len(reader.all("[data-side=reference] .strip button")) == 2)


def test_photos_are_compared_by_keyboard(reader: Reader, photo: Photo) -> None:
    compared(reader, photo)
    keys = ActionChains(reader.chrome)
    keys.send_keys("+").perform()
    assert scale(reader, "own") == scale(reader, "reference") == 1.5
    label = reader.one("[data-side=own] .pane").get_attribute("aria-label")
    assert label == "Your photo 1, enlarged to 150 %"
    keys.send_keys("0").perform()
    ActionChains(reader.chrome).send_keys(Keys.ARROW_RIGHT).perform()
    second = reader.texts(".candidate .code code")[1]
    reader.until(lambda: reader.texts("#compare .code") == [second])
    assert "2 of 4" in reader.one("#compare .about").text
    ActionChains(reader.chrome).send_keys(Keys.ESCAPE).perform()
    reader.until(lambda: not reader.one("#compare").get_attribute("open"))
    assert reader.chrome.switch_to.active_element.text == "Compare"
    assert reader.complaints() == []


def test_photos_are_compared_by_mouse_and_finger_on_a_phone(reader: Reader, photo: Photo) -> None:
    reader.resize(390, 800)
    compared(reader, photo)
    assert reader.chrome.execute_script(
        "return document.getElementById('compare').scrollWidth <= 390"
    )
    pane = reader.one("[data-side=reference] .pane")
    ActionChains(reader.chrome).double_click(pane).perform()
    assert scale(reader, "own") == 2.5
    ActionChains(reader.chrome).double_click(pane).perform()
    assert scale(reader, "own") == 1
    swipe = ActionChains(reader.chrome, duration=20).move_to_element(pane).click_and_hold()
    swipe.move_by_offset(-120, 5).release().perform()
    reader.until(lambda: "2 of 4" in reader.one("#compare .about").text)
    reader.one("[data-choose]").click()
    second = reader.texts(".candidate .code code")[1]
    reader.until(lambda: second in reader.one("#said").text)
    reader.one("#said a").click()
    reader.until(lambda: reader.texts("h1") == [second])
    reader.one(".sure summary").click()
    reader.one(".danger").click()  # other tests share the workspace
    reader.until(lambda: reader.texts("h1") == ["Cases"])


def test_a_reload_keeps_the_answer_and_its_photos(reader: Reader, photo: Photo) -> None:
    reader.go("/")
    reader.send(photo("A/01 B?"))
    reader.until(lambda: reader.texts(".candidate .code code")[:1] == ["A/01 B?"])
    assert "/answers/" in reader.chrome.current_url
    reader.chrome.refresh()
    reader.until(lambda: reader.all(".previews li .box:not([hidden])"))
    assert reader.texts(".candidate .code code")[:1] == ["A/01 B?"]
    reader.one(".previews .box").send_keys(Keys.ARROW_LEFT)  # asks again, with the kept photo
    reader.until(lambda: reader.all(".by-hand") and not reader.all("form.working"))
    reader.one("#clear").click()
    reader.until(lambda: reader.chrome.current_url == f"{reader.server}/")
    assert reader.complaints() == []


@pytest.mark.parametrize("original", [False, True])
def test_photos_are_made_smaller_before_they_are_sent(
    reader: Reader, tmp_path: Path, workspace_folder: Path, original: bool
) -> None:
    """As they are displayed: turned by their orientation tag."""
    tall = np.full((2400, 1200, 3), 200, np.uint8)
    tall[100:500, 100:500] = 30
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # it lies on its side: its width is displayed as its height
    Image.fromarray(tall).save(path, exif=exif)
    reader.go("/")
    reader.one("#photos").send_keys(str(path))
    reader.until(lambda: reader.all(".previews li"))
    if original:
        reader.one("#original").click()
    reader.chrome.execute_script("""
        const before = XMLHttpRequest.prototype.send;
        XMLHttpRequest.prototype.send = function (body) {
            const photo = body.get("photos");
            createImageBitmap(photo).then(
                (image) => (window.size = [image.width, image.height, photo.name]),
            );
            return before.call(this, body);
        };
    """)
    reader.one("#submit").click()
    reader.until(lambda: reader.all(".candidate"))
    size = reader.until(lambda: reader.chrome.execute_script("return window.size"))
    assert size == ([2400, 1200, "large.jpg"] if original else [2048, 1024, "large.jpg"])


def test_an_expert_is_asked_and_answers(reader: Reader, photo: Photo) -> None:
    reader.go("/")
    reader.send(photo("M22675"))
    reader.until(lambda: reader.all(".candidate"))
    reader.one("[name=keep]").click()
    reader.one("[name=expert]").click()
    reader.one("#said a").click()
    reader.until(lambda: reader.texts("h1") == ["Which one is it?"])
    assert reader.chrome.execute_script(
        "return document.querySelector('.own img').naturalWidth === 480"
    )
    reader.one("[value=M22675]").click()
    reader.until(lambda: reader.texts("h1") == ["M22675"])
    reader.go("/cases?state=named")
    assert "M22675" in reader.one(".case").text
    reader.one(".case").click()
    reader.one(".sure summary").click()
    reader.one(".danger").click()
    reader.until(lambda: reader.all(".nothing"))
    assert reader.complaints() == []
