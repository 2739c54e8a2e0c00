"""Feedback on answers, over HTTP and on the page."""

from __future__ import annotations

import hashlib
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


def say(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/api/v1/feedback", json=body)


def test_feedback_is_stored_with_all_that_a_calibration_needs(client, draw, own_workspace):
    photos = draw("M22675"), draw("M22675", view=1)
    answer = identify(client, *photos, box=["", "0.25,0.25,0.75,0.75"])
    said = say(client, answer=answer["answer"], code="Z-9")
    assert said.status_code == 200
    assert said.json() == {"code": "Z-9", "total": 1}
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
        assert say(client, answer=token, code=code).json() == {"code": code, "total": 1}
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
        assert words in said.text
        assert "<html" not in said.text
    korean = client.post(
        "/feedback",
        data={"answer": token, "code": "Z-9"},
        headers={**HTMX, "accept-language": "ko"},
    )
    assert "Z-9 상품으로 기록했어요" in korean.text
    assert own_workspace.catalogue.feedback.count() == 1


def test_the_page_takes_feedback_without_javascript(client, draw, own_workspace):
    page = client.post("/identify", files={"photos": ("a.jpg", draw("Z-9"))}, headers=HTML).text
    token = page.split('name="answer" value="')[1].split('"')[0]
    said = client.post("/feedback", data={"answer": token, "code": ""}, headers=HTML)
    assert said.headers["location"] == "/"
    assert own_workspace.catalogue.feedback.count() == 1
    gone = client.post("/feedback", data={"answer": "gone"}, headers=HTML)
    assert gone.status_code == 410
