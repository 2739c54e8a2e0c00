"""A real browser and someone who uses the pages in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",
    "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP *.evil.example 127.0.0.1",
)

BROWSER_MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="needs chromium and chromedriver; on Debian: apt install chromium chromium-driver",
    ),
]


def start_chrome(profile: Path) -> Chrome:
    """Start a headless Chromium with an empty profile."""
    assert CHROMIUM
    assert DRIVER
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options, ChromeService(DRIVER))


class Reader:
    """Someone who uses the pages."""

    def __init__(self, chrome: Chrome, server: str) -> None:
        self.chrome = chrome
        self.server = server

    def go(self, path: str) -> None:
        self.chrome.get(self.server + path)

    def one(self, selector: str) -> WebElement:
        return self.until(lambda: next(iter(self.all(selector)), None))

    def all(self, selector: str) -> list[WebElement]:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """What is read there, at one moment: elements may be replaced while one looks."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())"
        found: list[str] = self.chrome.execute_script(script, selector)
        return found

    def until(self, happens: Callable[[], Any]) -> Any:
        """Look until it happens, and again where the page replaced what was looked at."""
        wait = WebDriverWait(self.chrome, 30, 0.05, [StaleElementReferenceException])
        try:
            return wait.until(lambda _: happens())
        except TimeoutException as error:  # what was on the page says more than the stack
            shown = self.chrome.find_element(By.TAG_NAME, "body").text[:1_000]
            error.msg = f"{self.chrome.current_url} shows: {shown!r}"
            raise

    def press_enter(self, selector: str) -> None:
        """Press Enter there, although the page may be replacing it."""

        def pressed() -> bool:
            self.one(selector).send_keys(Keys.ENTER)
            return True

        self.until(pressed)

    def send(self, *photos: Path) -> None:
        self.one("#photos").send_keys("\n".join(map(str, photos)))
        self.until(lambda: len(self.all(".previews li")) == len(photos))
        self.one("#submit").click()

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.chrome.get_log("browser")]

    def requests(self) -> set[str]:
        """Addresses that were asked for since this was last called."""
        messages = [json.loads(e["message"])["message"] for e in self.chrome.get_log("performance")]
        return {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }
