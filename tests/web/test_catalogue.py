"""Editing the catalogue over HTTP: the API and the pages, of a real server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from satchel.web.app import create_app
from satchel.web.reindexing import Reindexing
from satchel.workspace import Workspace

API = "/api/v1/edits"
HTML = {"Accept": "text/html"}
CODE = "A/01 B?"


@pytest.fixture
def site(own_workspace: Workspace, serve_app: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    app = create_app(own_workspace)
    app.state.server.reindexing = Reindexing(own_workspace, quiet_s=0.05)
    return serve_app(app)


def product(site: httpx.Client, code: str) -> dict[str, Any]:
    answer = site.get(f"/api/v1/products/{code.replace('/', '%2F').replace('?', '%3F')}")
    assert answer.status_code == 200
    return dict(answer.json())


def found(site: httpx.Client, photo: bytes) -> list[str]:
    answer = site.post("/api/v1/identify", files={"photos": photo}).json()
    return [one["code"] for one in answer["candidates"]]


# -- API ------------------------------------------------------------------------------------------


def test_columns_are_set_and_undone(site: httpx.Client) -> None:
    before = product(site, CODE)
    done = site.post(
        f"{API}/columns",
        json={"code": CODE, "values": {"colour": "navy", "material": ""}, "by": "Jin"},
    ).json()
    assert done["values"] == {
        "colour": {"before": "brown", "after": "navy"},
        "material": {"before": "leather", "after": None},
    }
    after = product(site, CODE)
    assert after["product"]["colour"] == "navy"
    assert [one["attributes"] for one in after["photos"]] == [{}, {}]
    facets = site.get("/api/v1/facets").json()["facets"]
    assert {"value": "navy", "products": 1} in facets[1]["values"]
    undone = site.post(f"{API}/undo", json={"decision": done["decision"], "by": "Ana"}).json()
    assert undone["undone_by"] == "Ana"
    assert product(site, CODE) == before
    (listed,) = site.get(API, params={"code": CODE}).json()["edits"]
    assert listed == undone


def test_a_deleted_product_is_not_found_from_then_on(
    site: httpx.Client, draw: Callable[..., bytes]
) -> None:
    photo = draw("M22675")
    assert found(site, photo)[0] == "M22675"
    done = site.post(f"{API}/delete", json={"code": "M22675"}).json()
    assert "M22675" not in found(site, photo)  # at once, before the index is built anew
    assert site.get("/api/v1/products/M22675").status_code == 404
    assert site.get(f"/photos/{done['photos'][0]}.jpg").status_code == 404
    site.post(f"{API}/undo", json={"decision": done["decision"]})
    deadline = time.monotonic() + 60
    while found(site, photo)[0] != "M22675":
        assert time.monotonic() < deadline
    assert site.get(f"/photos/{done['photos'][0]}.jpg").status_code == 200


def test_renaming_merging_and_taking_out_a_photo(site: httpx.Client) -> None:
    photo = product(site, "Z-9")["photos"][0]["sha256"]
    taken_out = site.post(f"{API}/delete", json={"code": "Z-9", "photo": photo[:8]}).json()
    assert (taken_out["kind"], taken_out["photos"]) == ("delete_photo", [photo])
    assert site.post(f"{API}/rename", json={"code": "Z-9", "new": "새 코드"}).status_code == 200
    merged = site.post(f"{API}/merge", json={"code": "새 코드", "into": CODE})
    assert merged.json()["codes"] == ["새 코드", CODE]
    assert len(product(site, CODE)["photos"]) == 3
    kinds = [one["kind"] for one in site.get(API).json()["edits"]]
    assert kinds == ["merge", "rename", "delete_photo"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("columns", {"code": "X", "values": {"brand": "a"}}, 404),
        ("columns", {"code": CODE, "values": {}}, 422),
        ("columns", {"code": CODE, "values": {"code": "a"}}, 400),
        ("columns", {"code": CODE, "values": {"brand": "Maison"}}, 400),
        ("columns", {"code": CODE, "values": {"brand": 1}}, 422),
        ("columns", {"code": CODE, "values": {"view": "x"}, "photo": "000"}, 400),
        ("columns", {"code": CODE, "values": {"brand": "a\u0000"}}, 400),
        ("rename", {"code": CODE, "new": "M22675"}, 409),
        ("rename", {"code": CODE, "new": ""}, 400),
        ("rename", {"code": CODE, "new": "x" * 201}, 422),
        ("merge", {"code": CODE, "into": CODE}, 400),
        ("merge", {"code": CODE, "into": "X"}, 404),
        ("delete", {"code": CODE, "photo": "f" * 64}, 404),
        ("delete", {"code": CODE, "all": True}, 422),
        ("undo", {"decision": 99}, 404),
        ("undo", {"decision": 2**70}, 422),
    ],
)
def test_what_cannot_be_done_is_a_problem_and_changes_nothing(
    site: httpx.Client, path: str, body: dict[str, object], status: int
) -> None:
    answer = site.post(f"{API}/{path}", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert site.get(API).json() == {"edits": []}
    assert site.get("/api/v1/products").json()["total"] == 4


def test_an_edit_in_the_way_is_named(site: httpx.Client) -> None:
    first = site.post(f"{API}/columns", json={"code": CODE, "values": {"size": "S"}}).json()
    second = site.post(f"{API}/columns", json={"code": CODE, "values": {"size": "M"}}).json()
    answer = site.post(f"{API}/undo", json={"decision": first["decision"]})
    assert answer.status_code == 409
    assert f"decision {second['decision']}" in answer.json()["detail"]


def test_the_table_is_the_one_that_an_import_reads(site: httpx.Client, tmp_path: Path) -> None:
    answer = site.get("/api/v1/catalogue.csv")
    assert 'filename="catalogue.csv"' in answer.headers["content-disposition"]
    text = answer.content.decode("utf-8-sig")
    header = "code,brand,name,category,colour,size,photo,role,source,license,material"
    assert text.splitlines()[0] == header
    assert len(text.splitlines()) == 9
    lines = site.get("/api/v1/catalogue.jsonl").text.splitlines()
    assert len(lines) == 8
    path = re.findall(r"photos/[0-9a-f]{64}\.jpg", text)[0]
    assert site.get(f"/{path}").headers["content-type"] == "image/jpeg"


# -- pages ----------------------------------------------------------------------------------------


def test_a_product_is_edited_on_its_page(site: httpx.Client) -> None:
    shown = site.get(f"/products/{CODE.replace('/', '%2F').replace('?', '%3F')}", headers=HTML)
    link = unescape(re.findall(r'href="(/catalogue/edit[^"]+)"', shown.text)[0])
    page = site.get(link, headers=HTML).text
    for value in ("Maison", "Model &lt;1&gt;", "brown", "leather"):
        assert f'name="value" value="{value}"' in page
    form = {
        "code": CODE,
        "column": ["brand", "colour", "material", " Note ", ""],
        "value": ["Maison", "", "suède", "한정판", ""],
        "who": " 김 ",
    }
    answer = site.post("/catalogue/edit", data=form, headers=HTML)
    assert answer.status_code == 303
    after = product(site, CODE)["product"]
    assert (after["colour"], after["attributes"]) == (
        None,
        {"material": "suède", "note": "한정판"},
    )
    (edit,) = site.get(API).json()["edits"]
    assert (sorted(edit["values"]), edit["decided_by"]) == (["colour", "material", "note"], "김")
    again = site.get(answer.headers["location"], headers=HTML).text
    assert 'name="who" maxlength="60" autocomplete="name" value="김"' in again
    assert "<ins>suède</ins>" in again
    assert "수정함" in site.get("/catalogue/edits?lang=ko", headers=HTML).text
    # What is sent again changes nothing, and is not an edit.
    form = {"code": CODE, "column": ["note"], "value": ["한정판"]}
    assert site.post("/catalogue/edit", data=form).status_code == 303
    assert len(site.get(API).json()["edits"]) == 1


def test_a_photo_is_edited_and_deleted_and_that_is_undone(site: httpx.Client) -> None:
    photos = [one["sha256"] for one in product(site, "Z-9")["photos"]]
    form = {"code": "Z-9", "photo": photos[0], "column": ["role"], "value": ["front"]}
    assert site.post("/catalogue/edit", data=form).status_code == 303
    assert product(site, "Z-9")["photos"][0]["role"] == "front"
    page = site.get("/catalogue/edit", params={"code": "Z-9"}, headers=HTML).text
    assert "It is the only photo" not in page
    for photo in photos:
        answer = site.post("/catalogue/delete", data={"code": "Z-9", "photo": photo})
        assert answer.headers["location"] == "/catalogue/edit?code=Z-9"
    page = site.get("/catalogue/edit", params={"code": "Z-9"}, headers=HTML).text
    assert "This product cannot be found" in page
    number = site.get(API).json()["edits"][0]["decision"]
    answer = site.post(
        "/catalogue/undo", data={"decision": number, "back": "product", "code": "Z-9"}
    )
    assert answer.headers["location"] == "/catalogue/edit?code=Z-9"
    page = site.get("/catalogue/edit", params={"code": "Z-9"}, headers=HTML).text
    assert "It is the only photo" in page


def test_a_product_is_renamed_merged_and_deleted(site: httpx.Client) -> None:
    answer = site.post("/catalogue/rename", data={"code": CODE, "other": " N&1 "})
    assert answer.headers["location"] == "/catalogue/edit?code=N%261"
    answer = site.post("/catalogue/merge", data={"code": "N&1", "other": "Z-9 "})
    assert answer.headers["location"] == "/catalogue/edit?code=Z-9"
    answer = site.post("/catalogue/delete", data={"code": "Z-9"})
    assert answer.headers["location"] == "/catalogue/edits"
    page = site.get("/catalogue/edits", headers=HTML).text
    assert page.count('action="/catalogue/undo"') == 3
    assert "Product deleted" in page
    for edit in site.get(API).json()["edits"]:
        form = {"decision": edit["decision"], "back": "product", "code": "Z-9"}
        assert site.post("/catalogue/undo", data=form).status_code == 303
    assert product(site, CODE)["product"]["brand"] == "Maison"
    assert site.get("/catalogue/edits", headers=HTML).text.count("undone") >= 3


def test_wrong_forms_are_refused_in_plain_words(site: httpx.Client) -> None:
    taken = site.post("/catalogue/rename", data={"code": CODE, "other": "Z-9"}, headers=HTML)
    assert (taken.status_code, "Another product has this code" in taken.text) == (409, True)
    gone = site.get("/catalogue/edit", params={"code": "X"}, headers=HTML)
    assert (gone.status_code, "The catalogue does not have it" in gone.text) == (404, True)
    assert site.post("/catalogue/delete", data={}, headers=HTML).status_code == 422
    foreign = {"Origin": "https://evil.example", **HTML}
    refused = site.post("/catalogue/delete", data={"code": CODE}, headers=foreign)
    assert refused.status_code == 403
    assert site.get(API).json() == {"edits": []}


def test_codes_are_suggested_for_merging(site: httpx.Client) -> None:
    assert 'value="Z-9"' in site.get("/catalogue/codes", params={"other": "z-"}).text
