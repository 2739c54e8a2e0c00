"""Answers of a server whose workspace has a detector."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from html import unescape
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from conftest import jpeg
from satchel.web.app import create_app
from satchel.workflows.index import index_catalogue
from satchel.workspace import Workspace
from support.browser import CHROMIUM, DRIVER, Reader
from support.stub_detector import write_detector

PAGE = {"accept": "text/html", "hx-request": "true"}
FILES = {"photos": ("disc.jpg", jpeg("disc", 50))}

Serve = Callable[[FastAPI], httpx.Client]


def configured(workspace: Workspace, score: float) -> Workspace:
    """With a detector that finds both halves of a light photo, if the score is low enough."""
    write_detector(workspace.folder, fit="stretch")
    text = f'[locate]\nmodel = "stub.json"\nscore = {score}\n'
    (workspace.folder / "satchel.toml").write_text(text)
    opened = Workspace.open(workspace.folder)
    index_catalogue(opened)
    return opened


def test_all_detections_are_offered(filled: Workspace, serve_app: Serve) -> None:
    client = serve_app(create_app(configured(filled, 0.5)))
    answer = client.post("/api/v1/identify", files=FILES).json()
    (detections,) = answer["detections"]
    assert len(detections) == 2
    assert [one["box"] for one in detections if one["main"]] == answer["boxes"]
    # A box that a person gives counts, and no locator is asked.
    given = client.post("/api/v1/identify", files=FILES, data={"box": "0.2,0.2,0.8,0.9"}).json()
    assert given["detections"] == [None]
    assert given["boxes"][0]["x1"] == pytest.approx(0.8)
    assert "No product" not in client.post("/identify", files=FILES, headers=PAGE).text


@pytest.mark.parametrize(
    ("language", "one", "several"),
    [
        ("en", "No product was found in the photo", "In some of the photos no product was found"),
        ("ko", "사진에서 상품을 찾지 못해", "일부 사진에서는 상품을 찾지 못해"),
    ],
)
def test_no_product_is_said_and_answered_all_the_same(
    filled: Workspace, serve_app: Serve, language: str, one: str, several: str
) -> None:
    client = serve_app(create_app(configured(filled, 1.0)))
    answer = client.post("/api/v1/identify", files=FILES).json()
    assert answer["detections"] == [[]]
    assert answer["candidates"][0]["code"] == "M0"
    headers = PAGE | {"accept-language": language}
    page = client.post("/identify", files=FILES, headers=headers).text
    assert one in page
    assert "M0" in page
    two = [("photos", file) for file in FILES.values()] * 2
    assert several in client.post("/identify", files=two, headers=headers).text


def test_other_goods_are_named_in_korean(filled: Workspace, serve_app: Serve) -> None:
    write_detector(filled.folder, fit="stretch", class_names=("red", "shoe", "watch"))
    text = (
        '[locate]\nmodel = "stub.json"\nscore = 0.1\nclasses = { shoe = "shoe", watch = "watch" }\n'
    )
    (filled.folder / "satchel.toml").write_text(text)
    opened = Workspace.open(filled.folder)
    index_catalogue(opened)
    client = serve_app(create_app(opened))
    names = {}
    for language in ("en", "ko"):
        page = client.post("/identify", files=FILES, headers=PAGE | {"accept-language": language})
        others = json.loads(unescape(page.text.split("data-others='")[1].split("'")[0]))
        names[language] = {one["name"] for one in others[0]}
    assert names["en"] <= {"shoe", "watch"}
    assert names["ko"] == {{"shoe": "신발", "watch": "시계"}[name] for name in names["en"]} != set()


@pytest.mark.browser
def test_another_good_is_taken_by_a_tap(
    filled: Workspace,
    request: pytest.FixtureRequest,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
    tmp_path: Path,
) -> None:
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    photo = tmp_path / "disc.jpg"
    photo.write_bytes(FILES["photos"][1])
    with run_server(create_app(configured(filled, 0.5))) as url:
        reader = Reader(request.getfixturevalue("chrome"), url)
        reader.resize(1280, 900)
        reader.go("/")

        def shown() -> list[float]:
            script = (
                "return JSON.parse(document.querySelector('.found')?.dataset.boxes ?? '[0]')[0]"
            )
            found: list[float] = reader.chrome.execute_script(script)
            return found

        reader.send(photo)
        reader.until(lambda: reader.all(".other") and not reader.all("form.working"))
        before = shown()
        reader.one(".other").click()
        reader.until(lambda: shown() != before and not reader.all("form.working"))
        assert before[0] != shown()[0]  # the other half of the photo
        assert len(reader.all(".other")) == 1  # still on offer
        reader.one(".reset").click()
        reader.until(lambda: shown() == before)
        reader.chrome.get("about:blank")
