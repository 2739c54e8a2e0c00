"""Codes that were read on photos of a listing: by a worker, on the page and in the API."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image, ImageDraw, ImageFont

from conftest import draw
from satchel.images import encode_jpeg
from satchel.jobs.worker import Worker
from satchel.market.listings.readings import PhotoReadings
from satchel.reading.records import ReadText
from satchel.records import Box
from satchel.workflows.jobs import handlers_of
from satchel.workflows.read import CatalogueCodes
from satchel.workspace import Workspace
from support.goods import API, ok
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

PAGE = {"accept": "text/html"}
ALL = Box(0.1, 0.1, 0.9, 0.9)


@pytest.fixture
def seller(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[httpx.Client]:
    make_account(own_workspace, "seller@example.com")
    with (
        run_server(market_app(own_workspace)) as url,
        logged_in(url, "seller@example.com") as client,
    ):
        yield client


def tag(text: str) -> bytes:
    picture = Image.new("RGB", (900, 400), (236, 230, 220))
    ImageDraw.Draw(picture).text((120, 120), text, (40, 30, 30), ImageFont.load_default(64))
    return encode_jpeg(np.asarray(picture), 92)


def drafted(seller: httpx.Client, *photos: bytes) -> str:
    listing = str(ok(seller.post(f"{API}/listings"), 201)["id"])
    for number, photo in enumerate(photos):
        add(seller, listing, photo, f"photo-{number:04d}")
    return listing


def add(seller: httpx.Client, listing: str, photo: bytes, upload: str) -> None:
    sent = {"photo": ("photo.jpg", photo)}
    ok(seller.post(f"{API}/listings/{listing}/photos", data={"upload": upload}, files=sent), 201)


def readings(seller: httpx.Client, listing: str) -> Any:
    return ok(seller.get(f"{API}/listings/{listing}/readings"))


def work(workspace: Workspace) -> None:
    Worker(workspace.catalogue.engine, handlers_of(workspace)).run(Event().is_set, once=True)


def keep(workspace: Workspace, listing: str, *texts: ReadText, fault: str | None = None) -> None:
    """Keep texts as what is written on the next unread photo, in place of a worker."""
    store = PhotoReadings(workspace.catalogue.engine)
    photo, _ = store.unread(listing)[0]
    store.save(photo, texts, fault)


@pytest.mark.flow
def test_a_worker_reads_every_photo_once(seller: httpx.Client, own_workspace: Workspace) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra: pip install '.[ocr]'")
    listing = drafted(seller, encode_jpeg(draw("disc", 9), 90), tag("M22-675"))
    assert readings(seller, listing)["available"]
    assert [one["reading"] for one in readings(seller, listing)["photos"]] == [None, None]
    work(own_workspace)
    plain, tagged = readings(seller, listing)["photos"]
    assert plain["reading"]["codes"] == []
    codes = tagged["reading"]["codes"]
    assert [(one["code"], one["match"]) for one in codes] == [(CODES[0], "exact")]
    jobs = own_workspace.jobs.jobs(kind="read_photos")
    assert [job.result for job in jobs] == [{"photos": 2}]


def test_what_was_read_is_shown_as_read_and_can_be_chosen(
    seller: httpx.Client, own_workspace: Workspace
) -> None:
    listing = drafted(seller, tag("a"), tag("b"))
    page = seller.get(f"/listings/{listing}", headers=PAGE)
    assert "are being read" in page.text
    assert "every 3s" in page.text
    keep(own_workspace, listing, ReadText("<b>", ALL, 0.9))
    keep(own_workspace, listing, ReadText("Nr. M2267S", ALL, 0.9))
    part = seller.get(f"/listings/{listing}/readings", headers=PAGE).text
    assert "Read, not seen" in part
    assert "On photo 2: “M2267S”</" in part.replace(" · similar characters", "")
    assert f'value="{CODES[0]}"' in part
    assert "every" not in part  # all are read: the page need not ask again
    korean = seller.get(f"/listings/{listing}?lang=ko", headers=PAGE).text
    assert "사진에서 읽은 글자" in korean
    seen = part.partition("?seen=")[2].partition('"')[0]
    path = f"/listings/{listing}/readings?seen={seen}"
    assert seller.get(path, headers=PAGE).status_code == 204
    seller.post(f"/listings/{listing}/code", data={"code": CODES[0]}, headers=PAGE)
    assert "disabled" in seller.get(f"/listings/{listing}/readings", headers=PAGE).text


def test_a_photo_that_cannot_be_read_is_named(
    seller: httpx.Client, own_workspace: Workspace
) -> None:
    listing = drafted(seller, tag("a"), tag("b"))
    keep(own_workspace, listing, fault="the photo takes too long to read")
    keep(own_workspace, listing, ReadText("1927", ALL, 0.9, "EAN-13"))
    assert readings(seller, listing)["photos"][0]["problem"] == "the photo takes too long to read"
    page = seller.get(f"/listings/{listing}", headers=PAGE).text
    assert "Photo 1 could not be read." in page
    assert "No code of the catalogue" in page


def test_without_the_extra_nothing_breaks(
    seller: httpx.Client, own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satchel.extras.find_spec", lambda _: None)
    listing = drafted(seller, tag("M22675"))
    work(own_workspace)
    found = readings(seller, listing)
    assert (found["available"], found["photos"][0]["reading"]) == (False, None)
    page = seller.get(f"/listings/{listing}", headers=PAGE).text
    assert "Tags on photos are not read here." in page
    assert "every 3s" not in page
    assert [job.state for job in own_workspace.jobs.jobs(kind="read_photos")] == ["done"]


def test_what_was_read_goes_with_its_photo_and_its_person(
    seller: httpx.Client, own_workspace: Workspace
) -> None:
    listing = drafted(seller, tag("a"), tag("b"))
    first, second = (one["sha256"] for one in readings(seller, listing)["photos"])
    store = PhotoReadings(own_workspace.catalogue.engine)
    gone = store.unread(listing)[0][0]
    ok(seller.delete(f"{API}/listings/{listing}/photos/{first}"))
    store.save(gone, [ReadText("late", ALL, 1)])  # the worker was about it when it was removed
    keep(own_workspace, listing, ReadText("Kim, receipt", ALL, 0.9))
    assert [one["sha256"] for one in readings(seller, listing)["photos"]] == [second]
    archive = zipfile.ZipFile(io.BytesIO(seller.get("/account/data").content))
    told = archive.read("data.json").decode()
    assert "Kim, receipt" in told
    ok(seller.delete(f"{API}/listings/{listing}/photos/{second}"))
    assert readings(seller, listing)["photos"] == []


def test_codes_are_those_of_the_catalogue_as_it_is_now(own_workspace: Workspace) -> None:
    codes, edits = CatalogueCodes(own_workspace), own_workspace.catalogue.edits
    text = [ReadText("K99887", ALL, 1)]
    assert codes.match(text) == ()
    renamed = edits.rename(CODES[0], "K99887")
    assert [one.code for one in codes.match(text)] == ["K99887"]
    edits.undo(renamed.id)
    assert codes.match(text) == ()
