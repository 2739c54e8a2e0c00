"""Cases over HTTP: choices that are stored, with photos only where somebody keeps them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import ExifTags, Image
from sqlalchemy import update

from satchel.catalog.cases import CaseState
from satchel.catalog.tables import CaseRow
from satchel.web.api.cases import plain
from satchel.web.app import create_app
from satchel.web.feedback import remove_old_cases
from satchel.workspace import Workspace

HTML = {"accept": "text/html"}
HTMX = {"accept": "text/html", "hx-request": "true"}


@pytest.fixture
def app(own_workspace: Workspace) -> FastAPI:
    return create_app(own_workspace)


@pytest.fixture
def client(app: FastAPI, serve_app: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    return serve_app(app)


def identified(client: httpx.Client, photo: bytes) -> str:
    page = client.post("/identify", files={"photos": ("가방.jpg", photo)}, headers=HTMX).text
    return re.findall(r'name="answer" value="([^"]*)"', page)[0]


def choose(client: httpx.Client, answer: str, **form: str) -> str:
    said = client.post("/feedback", data={"answer": answer, **form}, headers=HTML)
    assert said.status_code == 303, said.text
    return said.headers["location"]


def shot_by_a_phone(photo: bytes) -> bytes:
    """The photo turned on its side, with its place and a tag that turns it back."""
    turned = Image.open(io.BytesIO(photo)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (37.0, 34.0, 0.0)
    file = io.BytesIO()
    turned.save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_a_choice_becomes_a_case_without_photos(client, draw, own_workspace):
    answer = identified(client, draw("Z-9"))
    link = choose(client, answer, code="M22675", note="<b>label</b>")
    assert re.fullmatch(r"/cases/[A-Za-z0-9_-]{32}", link)
    page = client.get(link, headers=HTML).text
    assert "&lt;b&gt;label&lt;/b&gt;" in page
    assert "The photo was not kept" in page
    assert client.get(f"{link}/1.jpg").status_code == 404
    assert list(own_workspace.folder.glob("cases/*")) == []
    assert choose(client, answer, expert="true") == link  # of one answer there is one case
    (case,) = own_workspace.catalogue.cases.all()
    assert case.state is CaseState.OPEN
    assert case.note == "<b>label</b>"
    assert {one.code for one in case.candidates} >= {"Z-9", "M22675"}
    assert sum(one.confidence for one in case.candidates) <= 1


def test_photos_are_kept_upright_and_without_metadata(client, draw, own_workspace):
    upright = draw("M22675")
    link = choose(client, identified(client, shot_by_a_phone(upright)), code="M22675", keep="true")
    answer = client.get(f"{link}/1.jpg")
    assert "private" in answer.headers["cache-control"]
    photo = Image.open(io.BytesIO(answer.content))
    assert not photo.getexif()
    assert b"Exif" not in answer.content
    expected = np.asarray(Image.open(io.BytesIO(upright)), np.int16)
    assert np.abs(np.asarray(photo, np.int16) - expected).mean() < 4
    assert client.get("/cases", headers=HTML).text.count(f"{link}/1.jpg") == 1
    removed = client.post(f"{link}/remove", data={"sure": "true"}, headers=HTML)
    assert removed.headers["location"] == "/cases"
    assert client.get(link, headers=HTML).status_code == 404
    assert list((own_workspace.folder / "cases").iterdir()) == []
    assert own_workspace.catalogue.feedback.count() == 0


def test_another_browser_keeps_no_photo_of_this_one(client, draw, own_workspace):
    answer = identified(client, draw("Z-9"))
    client.cookies.clear()
    link = choose(client, answer, code="Z-9", keep="true")
    assert "The photo was not kept" in client.get(link, headers=HTML).text


def test_photos_beyond_the_room_are_not_kept(app_with, serve_app, draw):
    client = serve_app(app_with(keep_cases_mb=0))
    answer = identified(client, draw("Z-9"))
    said = client.post(
        "/feedback", data={"answer": answer, "code": "Z-9", "keep": "true"}, headers=HTMX
    )
    assert "could not be kept" in said.text
    link = re.findall(r"/cases/[A-Za-z0-9_-]{32}", said.text)[0]
    client.post(f"{link}/remove", data={"sure": "true"})


def test_an_expert_answers_later(client, draw, own_workspace):
    """The feedback waits for the answer, and is complete even where the answer is forgotten."""
    catalogue = own_workspace.catalogue
    link = choose(client, identified(client, draw("Z-9")), expert="true")
    assert catalogue.feedback.count() == 0
    assert list(catalogue.feedback.all()) == []
    assert "Waiting for an expert" in client.get("/cases?state=open", headers=HTML).text
    client.post(link, data={"choice": "note", "note": "which size?", "who": "Ann"}, headers=HTML)
    assert catalogue.cases.count(CaseState.OPEN) == 1
    wrong = client.post(link, data={"choice": "other", "other": "NOPE"}, headers=HTML)
    assert wrong.status_code == 404
    client.post(link, data={"code": "Z-9", "who": "Ann"}, headers=HTML)
    (stored,) = catalogue.feedback.all()
    assert stored.code == "Z-9"
    (case,) = catalogue.cases.all()
    assert (case.state, case.code, case.by) == (CaseState.NAMED, "Z-9", "Ann")
    client.post(link, data={"choice": "none"}, headers=HTML)
    (stored,) = catalogue.feedback.all()
    assert stored.code is None


def test_old_cases_go_with_their_photos_and_leave_the_feedback(app, client, draw, own_workspace):
    catalogue = own_workspace.catalogue
    for view in (0, 1):
        choose(client, identified(client, draw("Z-9", view=view)), code="Z-9", keep="true")
    old, fresh = catalogue.cases.all()
    days = own_workspace.settings.serve.keep_cases_days
    with catalogue._engine.begin() as connection:
        then = old.changed_at - timedelta(days=days, seconds=60)
        row = update(CaseRow).where(CaseRow.token == old.token).values(changed_at=then)
        connection.execute(row)
    assert remove_old_cases(app.state.server) == 1
    assert [path.name for path in (own_workspace.folder / "cases").iterdir()] == [fresh.token]
    assert catalogue.feedback.count() == 2


def test_the_table_of_cases_is_for_korean_excel_and_holds_no_formula(client, draw):
    link = choose(client, identified(client, draw("가방-7")), code="가방-7", note='=HYPERLINK("x")')
    answer = client.get("/api/v1/cases.csv?state=named")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert row["code"] == "가방-7"
    assert row["note"] == '\'=HYPERLINK("x")'
    assert row["case"].endswith(link)
    assert client.get("/api/v1/cases.csv?state=open").text.count("\n") == 1
    assert client.get("/api/v1/cases.csv?state=all").status_code == 422


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\n=1", "＝1"])
def test_formulas_are_made_plain(text):
    assert plain(text) == "'" + text
    assert plain("a" + text) == "a" + text


def test_the_start_page_shows_recent_cases_and_an_example(client, draw):
    home = client.get("/", headers=HTML).text
    assert "Recent cases" not in home
    code = re.findall(r'name="code" value="([^"]*)"', home)[0]
    answer = client.post("/example", data={"code": code}, headers=HTML)
    page = client.get(answer.headers["location"], headers=HTML).text
    assert f"Compare with {code}" in page
    link = choose(client, identified(client, draw("Z-9")), code="Z-9")
    assert link in client.get("/", headers=HTML).text
    assert client.post("/example", data={"code": "NOPE"}, headers=HTML).status_code == 404


def test_an_answer_has_an_address(client, draw, server):
    sent = client.post("/identify", files={"photos": ("a.jpg", draw("Z-9"))}, headers=HTML)
    address = sent.headers["location"]
    page = client.get(address, headers=HTML).text
    assert page.index("Z-9") < page.index("M22675")
    token = re.findall(r"data-kept='\[\"([^\"]*)\"\]'", page)[0]
    photo = client.get(f"/uploads/{token}.jpg?side=160")
    assert Image.open(io.BytesIO(photo.content)).size == (160, 160)
    client.cookies.clear()
    assert client.get(f"/uploads/{token}.jpg").status_code == 410
    elsewhere = client.get(address, headers=HTML).text
    assert "data-kept='[]'" in elsewhere
    assert client.get("/answers/nothing", headers=HTML).status_code == 410
