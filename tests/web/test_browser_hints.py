"""Filters and boxes in a real browser: on phones and desktops, in both languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from fastapi import FastAPI
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import Select

from satchel.web.app import create_app
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader

pytestmark = BROWSER_MARKS

BRANDS = {"M22675": "Maison", "A/01 B?": "Maison", "가방-7": "구찌", "Z-9": "구찌"}


@pytest.fixture(params=["desktop en", "phone ko"])
def reader(
    request: pytest.FixtureRequest,
    chrome: Chrome,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[Reader]:
    """A reader of a catalogue of two brands."""
    catalogue = own_workspace.catalogue
    with catalogue.writing() as writer:
        for code, number in catalogue.ids_of_codes().items():
            writer.set_product(number, {"brand": BRANDS[code], "category": code[:1]})
    with run_server(create_app(own_workspace)) as url:
        chrome.get("about:blank")
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        reader = Reader(chrome, url)
        device, language = request.param.split()
        reader.resize(*((1280, 900) if device == "desktop" else (390, 844)))
        reader.go(f"/?lang={language}")
        reader.complaints()
        yield reader
        assert reader.complaints() == []
        width = chrome.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert width <= 0
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
    reader.one("#filter-1").click()
    choose(reader, 1, "구찌 (2)")
    reader.until(lambda: set(codes(reader)) == {"가방-7", "Z-9"})
    reader.until(lambda: reader.all(".previews svg.box"))
    reader.until(
        lambda: reader.chrome.switch_to.active_element.get_attribute("id") == "filter-1"
    )  # where the reader was
    choose(reader, 1, options(reader, 1)[0])
    reader.until(lambda: len(codes(reader)) == 4)
    assert not reader.all(".among")
