"""Feedback on answers, over HTTP and on the page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from satchel.web.app import create_app
from satchel.workspace import Workspace

HTML = {"accept": "text/html"}
HTMX = {"accept": "text/html", "hx-request": "true"}


@pytest.fixture
def client(own_workspace: Workspace, serve_app: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    return serve_app(create_app(own_workspace))


def identify(client: httpx.Client, *photos: bytes, **form: object) -> dict:
    files = [("photos", ("a.jpg", photo)) for photo in photos]
    answer = client.post("/api/v1/identify?keep=1&brand=maison", files=files, data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


def text_of(answer: httpx.Response) -> str:
    return re.sub(r"<[^>]+>", "", answer.text)


def say(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/api/v1/feedback", json=body)


def test_feedback_is_stored_with_all_that_a_calibration_needs(client, draw, own_workspace):
    photos = draw("M22675"), draw("M22675", view=1)
    answer = identify(client, *photos, box=["", "0.25,0.25,0.75,0.75"])
    said = say(client, answer=answer["answer"], code="Z-9")
    assert said.status_code == 200
    assert said.json()["code"] == "Z-9"
    assert said.json()["total"] == 1
    assert client.get(said.json()["case"], headers=HTML).status_code == 200
    (stored,) = own_workspace.catalogue.feedback.all()
    assert stored.code == "Z-9"
    assert stored.where == {"brand": ["Maison"]}
    assert stored.verdict == answer["verdict"]
    assert [one.code for one in stored.candidates] == [one["code"] for one in answer["candidates"]]
    assert [one.score for one in stored.candidates] == pytest.approx(
        [one["score"] for one in answer["candidates"]], abs=1e-3
    )
    hashes = [hashlib.sha256(photo).hexdigest() for photo in photos]
    assert [photo.sha256 for photo in stored.photos] == hashes
    assert [photo.by_hand for photo in stored.photos] == [False, True]
    assert stored.photos[1].box.xyxy == (0.25, 0.25, 0.75, 0.75)
    assert np.linalg.norm(stored.photos[0].embedding(None).vector) == pytest.approx(1, abs=1e-2)


def test_the_last_word_counts(client, draw, own_workspace):
    token = identify(client, draw("Z-9"))["answer"]
    for code in ("Z-9", "M22675", None):
        said = say(client, answer=token, code=code).json()
        assert (said["code"], said["total"]) == (code, 1)
    (stored,) = own_workspace.catalogue.feedback.all()
    assert stored.code is None


def test_kept_photos_have_the_hash_of_what_was_sent(client, draw, own_workspace):
    first = identify(client, draw("Z-9"))
    again = client.post("/api/v1/identify", data={"kept": first["kept"]}).json()
    assert again["answer"] != first["answer"]
    say(client, answer=again["answer"], code="Z-9")
    (stored,) = own_workspace.catalogue.feedback.all()
    assert stored.photos[0].sha256 == hashlib.sha256(draw("Z-9")).hexdigest()


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"answer": "x" * 32, "code": "Z-9"}, 410, "upload-expired"),
        ({"answer": "", "code": None}, 410, "upload-expired"),
        ({"answer": "x" * 100, "code": None}, 422, "invalid-request"),
        ({"answer": "x"}, 422, "invalid-request"),  # "none of these" is said, not left out
        ({"code": "Z-9"}, 422, "invalid-request"),
        ({"answer": "x", "code": "Z-9", "score": 1}, 422, "invalid-request"),
        ({"answer": "x", "code": "x" * 201}, 422, "invalid-request"),
    ],
)
def test_feedback_that_cannot_be_used(client, body, status, slug):
    answer = say(client, **body)
    assert answer.status_code == status
    assert answer.json()["type"] == f"urn:satchel:problem:{slug}"


def test_a_product_that_there_is_not(client, draw, own_workspace):
    token = identify(client, draw("Z-9"))["answer"]
    assert say(client, answer=token, code="NOPE").status_code == 404
    assert own_workspace.catalogue.feedback.count() == 0


def test_another_sites_page_cannot_give_feedback(client, draw):
    token = identify(client, draw("Z-9"))["answer"]
    headers = {"sec-fetch-site": "cross-site"}
    answer = client.post("/api/v1/feedback", json={"answer": token, "code": None}, headers=headers)
    assert answer.status_code == 403


def test_the_page_takes_feedback_in_place(client, draw, own_workspace):
    page = client.post("/identify", files={"photos": ("a.jpg", draw("Z-9"))}, headers=HTMX).text
    token = page.split('name="answer" value="')[1].split('"')[0]
    for code, words in (("Z-9", "it is Z-9"), ("", "none of these")):
        said = client.post("/feedback", data={"answer": token, "code": code}, headers=HTMX)
        assert words in text_of(said)
        assert "<html" not in said.text
    korean = client.post(
        "/feedback",
        data={"answer": token, "code": "Z-9"},
        headers={**HTMX, "accept-language": "ko"},
    )
    assert "Z-9 상품으로 기록했어요" in text_of(korean)
    assert own_workspace.catalogue.feedback.count() == 1


def test_the_page_takes_feedback_without_javascript(client, draw, own_workspace):
    page = page_of(client, draw("Z-9"))
    token = page.split('name="answer" value="')[1].split('"')[0]
    said = client.post("/feedback", data={"answer": token, "code": ""}, headers=HTML)
    assert said.headers["location"].startswith("/cases/")
    assert own_workspace.catalogue.feedback.count() == 1
    gone = client.post("/feedback", data={"answer": "gone"}, headers=HTML)
    assert gone.status_code == 410


def page_of(client: httpx.Client, photo: bytes) -> str:
    """The page that an answer has without JavaScript."""
    files = {"photos": ("a.jpg", photo)}
    return client.post("/identify", files=files, headers=HTML, follow_redirects=True).text


def token_of(page: str) -> str:
    return page.split('name="answer" value="')[1].split('"', maxsplit=1)[0]


@pytest.mark.parametrize(
    "query", ["가방-7", "가방", "\u1100\u1161\u1107\u1161\u11bc", "구찌 MODEL <2>", "gucci 2"]
)
def test_another_product_is_found_by_code_brand_and_name(client, draw, own_workspace, query):
    catalogue = own_workspace.catalogue
    with catalogue.writing() as writer:
        writer.set_product(catalogue.ids_of_codes()["가방-7"], {"brand": "구찌"})
    page = client.post("/identify", files={"photos": ("a.jpg", draw("Z-9"))}, headers=HTMX).text
    answer = token_of(page)
    shown = client.post("/feedback/other", data={"answer": answer, "query": query}, headers=HTMX)
    assert "<html" not in shown.text
    assert re.findall(r'name="code" value="([^"]*)"', shown.text) == ["가방-7"]
    said = client.post("/feedback", data={"answer": answer, "code": "가방-7"}, headers=HTMX)
    assert "it is 가방-7" in text_of(said)
    (stored,) = catalogue.feedback.all()
    assert stored.code == "가방-7"


def test_a_product_that_was_not_shown_can_be_the_right_one(client, draw, own_workspace):
    """The filter left it out, so that it was no candidate."""
    catalogue = own_workspace.catalogue
    with catalogue.writing() as writer:
        writer.set_product(catalogue.ids_of_codes()["Z-9"], {"brand": "Other"})
    token = identify(client, draw("Z-9"))["answer"]
    assert say(client, answer=token, code="Z-9").json()["code"] == "Z-9"
    (stored,) = catalogue.feedback.all()
    assert stored.code == "Z-9"
    assert "Z-9" not in {one.code for one in stored.candidates}


def test_another_product_is_said_without_javascript(client, draw, own_workspace):
    page = page_of(client, draw("Z-9"))
    form = page.split('action="/feedback/other"')[1].split("</form>")[0]
    assert 'method="post"' in page.split('action="/feedback/other"')[0].rsplit("<form", 1)[1]
    answer = token_of(form)
    asked = {"answer": answer, "query": "m22"}
    found = client.post("/feedback/other", data=asked, headers=HTML).text
    assert "<html" in found
    assert token_of(found.split('id="feedback"')[1]) == answer
    assert re.findall(r'form="feedback" name="code" value="([^"]*)"', found) == ["M22675"]
    said = client.post("/feedback", data={"answer": answer, "code": "M22675"}, headers=HTML)
    assert said.headers["location"].startswith("/cases/")
    (stored,) = own_workspace.catalogue.feedback.all()
    assert stored.code == "M22675"
    again = client.get("/feedback/other", headers=HTML)
    assert again.headers["location"] == "/"


def test_a_search_shows_a_few_products_and_counts_the_others(client, monkeypatch):
    monkeypatch.setattr("satchel.web.pages.feedback.MOST_OTHERS", 3)
    shown = client.post("/feedback/other", data={"query": "model"}, headers=HTMX).text
    assert shown.count('name="code"') == 3
    assert "1 more matches" in shown
    nothing = client.post("/feedback/other", data={"query": "<q9>"}, headers=HTMX).text
    assert "Nothing matches “&lt;q9&gt;”" in nothing
    empty = client.post("/feedback/other", data={"query": " "}, headers=HTMX).text
    assert not empty.strip()
