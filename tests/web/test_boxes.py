"""Boxes in the HTTP API and on the page, and photos that are not sent twice."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from satchel.identify import Identifier
from satchel.web.app import create_app
from satchel.web.kept import Kept
from satchel.workspace import Workspace

HTML = {"accept": "text/html"}
HTMX = {"accept": "text/html", "hx-request": "true"}
BOX = {"x0": 0.25, "y0": 0.25, "x1": 0.75, "y1": 0.75}


def post(client: httpx.Client, *photos: bytes, query: str = "", **form: object) -> httpx.Response:
    files = [("photos", ("a.jpg", photo)) for photo in photos]
    return client.post(f"/api/v1/identify{query}", files=files or None, data=form)


def detail(answer: httpx.Response, status: int, slug: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"urn:satchel:problem:{slug}"
    return str(answer.json()["detail"])


# -- boxes --------------------------------------------------------------------------------------


def test_a_box_is_used_and_answered(client, draw, workspace_folder):
    photo = draw("M22675")
    free, boxed = post(client, photo).json(), post(client, photo, box="0.25,0.25,0.75,0.75").json()
    assert boxed["boxes"] == [BOX]
    assert free["boxes"] != boxed["boxes"]
    assert [one["score"] for one in free["candidates"]] != [
        one["score"] for one in boxed["candidates"]
    ]
    pixels = post(client, photo, box="120,120,360,360px").json()  # 480 pixels wide
    assert pixels == boxed | {"answer": pixels["answer"]}
    workspace = Workspace.open(workspace_folder)
    found = Identifier.open(workspace).identify(photo, box=(0.25, 0.25, 0.75, 0.75))
    workspace.catalogue.close()
    codes = [candidate.product.code for candidate in found.candidates]
    assert [one["code"] for one in boxed["candidates"]] == codes
    assert boxed["candidates"][0]["score"] == pytest.approx(found.candidates[0].score, abs=1e-3)


def test_one_box_for_each_photo(client, draw):
    photos = draw("M22675"), draw("M22675", view=1)
    boxes = post(client, *photos, box=["", "0.25,0.25,0.75,0.75"]).json()["boxes"]
    assert boxes[0] != BOX
    assert boxes[1] == BOX
    assert "for each of 2 photos, got 1" in detail(
        post(client, *photos, box="0,0,1,1"), 400, "bad-request"
    )
    assert "got 3" in detail(post(client, *photos, box=["", "", ""]), 400, "bad-request")


def test_what_reaches_beyond_the_photo_is_cut_off(client, draw):
    answer = post(client, draw("Z-9"), box="-0.5,0.5,0.5,1.5").json()
    assert answer["boxes"] == [{"x0": 0, "y0": 0.5, "x1": 0.5, "y1": 1}]


@pytest.mark.parametrize(
    "box",
    [
        "0.5",
        "a,b,c,d",
        "nan,0,1,1",
        "0.9,0,0.1,1",
        "0.5,0.5,0.5,0.5",
        "1.5,0,1.9,1",
        "5,5,9,9",
    ],
)
def test_boxes_that_cannot_be_used(client, draw, box):
    assert detail(post(client, draw("Z-9"), box=box), 400, "bad-box").startswith("expected")


def test_a_box_that_is_too_long(client, draw):
    assert post(client, draw("Z-9"), box="1" * 300).status_code == 422
    assert post(client, draw("Z-9"), box=[""] * 17).status_code == 422


def test_the_page_says_in_words_that_a_box_is_wrong(client, draw):
    files = {"photos": ("a.jpg", draw("Z-9"))}
    answer = client.post("/identify", files=files, data={"box": "1.5,0,1.9,1"}, headers=HTMX)
    assert answer.status_code == 400
    assert "The box is not on the photo" in answer.text


# -- photos that are kept -----------------------------------------------------------------------


def test_a_kept_photo_stands_for_itself(client, draw):
    first = post(client, draw("M22675"), draw("M22675", view=1), query="?keep=1").json()
    assert len(first["kept"]) == 2
    again = post(client, kept=first["kept"], query="?keep=1").json()
    assert again == first | {"answer": again["answer"]}
    boxed = post(client, kept=first["kept"], box=["0.25,0.25,0.75,0.75", ""]).json()
    assert boxed["photo"] == ["a.jpg", "a.jpg"]
    assert boxed["boxes"][0] == BOX
    assert boxed["kept"] == []
    mixed = post(client, draw("Z-9"), kept=first["kept"][:1], query="?keep=1").json()
    assert mixed["kept"][0] == first["kept"][0]
    assert mixed["kept"][1] not in first["kept"]


def test_nothing_is_kept_unless_asked_for(client, draw):
    answer = post(client, draw("Z-9"))
    assert answer.json()["kept"] == []
    assert "set-cookie" not in answer.headers


def test_another_browser_cannot_use_a_token(server, client, draw):
    (token,) = post(client, draw("Z-9"), query="?keep=1").json()["kept"]
    assert post(client, kept=token).status_code == 200
    with httpx.Client(base_url=server, timeout=60) as stranger:
        assert "send the photos again" in detail(post(stranger, kept=token), 410, "upload-expired")
        stranger.cookies.set("satchel_session", "a" * 32)
        detail(post(stranger, kept=token), 410, "upload-expired")


def test_the_cookie_is_for_this_server_alone(client, draw):
    answer = post(client, draw("Z-9"), query="?keep=1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    again = post(client, draw("Z-9"), query="?keep=1").headers["set-cookie"].lower()
    assert again.split(";")[0] == cookie.split(";")[0]  # one session, while it lasts


@pytest.mark.parametrize("cookie", ["x", "a" * 31, "a" * 5000, '"<script>"'])
def test_a_cookie_that_is_none_of_ours_is_replaced(client, draw, cookie):
    answer = client.post(
        "/api/v1/identify?keep=1",
        files={"photos": ("a.jpg", draw("Z-9"))},
        headers={"cookie": f"satchel_session={cookie}"},
    )
    assert f"satchel_session={cookie};" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("kept", ["", "x", "a" * 32])
def test_tokens_that_there_are_not(client, kept):
    detail(post(client, kept=kept), 410, "upload-expired")


def test_tokens_that_are_too_long_or_too_many(client):
    assert post(client, kept="x" * 100).status_code == 422
    assert post(client, kept=["x"] * 17).status_code == 422


def test_photos_that_cannot_be_used_are_not_kept(
    own_workspace: Workspace, serve_app: Callable[[FastAPI], httpx.Client]
) -> None:
    app = create_app(own_workspace)
    client = serve_app(app)
    assert post(client, b"no photo", query="?keep=1").status_code == 415
    assert len(app.state.server.uploads) == 0


def test_a_photo_that_is_too_large_to_be_kept_is_answered(
    own_workspace: Workspace, draw: Callable[..., bytes], serve_app: Callable[..., httpx.Client]
) -> None:
    app = create_app(own_workspace)
    app.state.server.uploads = Kept(max_bytes=10, max_count=9, max_of_session=9, max_age_s=60)
    client = serve_app(app)
    assert post(client, draw("Z-9"), query="?keep=1").json()["kept"] == [None]


def test_the_page_keeps_photos_for_its_script(client, draw):
    files = {"photos": ("a.jpg", draw("Z-9"))}
    answer = client.post("/identify", files=files, headers=HTMX)
    token = answer.text.split("data-kept='[\"")[1].split('"')[0]
    again = client.post(
        "/identify", data={"kept": token, "box": "0.25,0.25,0.75,0.75"}, headers=HTMX
    )
    assert "[0.25, 0.25, 0.75, 0.75]" in again.text
    assert f"data-kept='[\"{token}\"]'" in again.text
    expired = client.post("/identify", data={"kept": "gone"}, headers=HTMX)
    assert expired.status_code == 410
    assert 'data-slug="upload-expired"' in expired.text
