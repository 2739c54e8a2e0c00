"""The report in a real browser: nothing is fetched, and the map is there for hand and keyboard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conftest import SHAPES, jpeg
from satchel.evaluate.ranks import GroupFigures
from satchel.evaluate.rendering import write_report
from satchel.evaluate.report import DataFacts, EvaluationReport, MapFacts, MapPoint

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,1000",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="needs chromium and chromedriver; on Debian: apt install chromium chromium-driver",
    ),
]

# Left to right: disc, box, cross, ring, bars; the last is the only one that was taken for another.
POINTS = tuple(
    MapPoint(0.1 + 0.2 * at, 0.5, shape, f"{at}" * 64, "drawn", "disc" if at == 4 else None)
    for at, shape in enumerate(SHAPES)
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    assert CHROMIUM
    assert DRIVER
    folder = tmp_path_factory.mktemp("report")
    report = EvaluationReport(
        "Five shapes",
        DataFacts("test", "0" * 64),
        categories=(
            GroupFigures("bags", 9, {1: 0.5}),
            GroupFigures("shoes", 100, {1: 0.25}),
            GroupFigures("ties", 20, {1: 1.0}),
        ),
        embedding=MapFacts("PCA", 5, POINTS),
    )
    photos = {point.photo: jpeg(point.code) for point in POINTS}
    path = write_report(report, photos.get, folder)
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, ChromeService(DRIVER))
    driver.get(Path(path).as_uri())
    yield driver
    driver.quit()


def tip(page: Chrome) -> str:
    return page.find_element(By.ID, "tip").text.replace("\n", ", ")


def test_nothing_is_fetched_and_nothing_fails(page: Chrome) -> None:
    asked = []
    for entry in page.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    # Before the report, the browser opens its own empty tab.
    ours = [url for url in asked if not url.startswith(("chrome:", "chrome-untrusted:"))]
    assert [url for url in ours if not url.startswith(("file:", "data:"))] == []
    assert page.get_log("browser") == []


def test_pointing_shows_the_photo(page: Chrome) -> None:
    mark = page.find_elements(By.CSS_SELECTOR, "#points circle")[1]
    ActionChains(page).move_to_element(mark).perform()
    assert tip(page) == "box, drawn"
    assert page.execute_script("return document.getElementById('tip-photo').naturalWidth") == 96


def test_arrow_keys_go_from_photo_to_photo(page: Chrome) -> None:
    plane = page.find_element(By.ID, "plane")
    page.execute_script("arguments[0].focus()", plane)
    plane.send_keys(Keys.ESCAPE, Keys.ARROW_LEFT)
    seen = [tip(page)]
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT):
        plane.send_keys(key)
        seen.append(tip(page))
    bars = "bars, drawn, taken for disc"
    assert seen == ["cross, drawn", "ring, drawn", bars, bars, "ring, drawn"]
    said = page.find_element(By.ID, "said").get_attribute("textContent")
    assert said == "ring, drawn"
    plane.send_keys(Keys.ESCAPE)
    assert not page.find_element(By.ID, "tip").is_displayed()


def test_the_list_shows_the_same(page: Chrome) -> None:
    chip = page.find_element(By.CSS_SELECTOR, "[data-product='0']")
    assert chip.text.startswith("bars")
    chip.send_keys(Keys.ENTER)
    assert chip.get_attribute("aria-pressed") == "true"
    assert len(page.find_elements(By.CSS_SELECTOR, "#points .far")) == 4
    assert page.find_element(By.ID, "strip").text == "taken for disc"
    chip.send_keys(Keys.ENTER)
    assert page.find_elements(By.CSS_SELECTOR, "#points .far, #strip img") == []


def test_a_heading_sorts(page: Chrome) -> None:
    heading = page.find_elements(By.CSS_SELECTOR, "table.sortable th button")[1]

    def names() -> list[str]:
        return [cell.text for cell in page.find_elements(By.CSS_SELECTOR, ".sortable tbody th")]

    assert names() == ["bags", "shoes", "ties"]
    heading.click()
    assert names() == ["bags", "ties", "shoes"]
    heading.click()
    assert names() == ["shoes", "ties", "bags"]
