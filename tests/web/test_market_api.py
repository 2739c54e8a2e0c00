"""The API of listings, desk and sale, over a real server: a good's whole way, and who may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from conftest import draw
from satchel.images import encode_jpeg
from satchel.market.roles import Role
from satchel.workspace import Workspace
from support.market import logged_in, make_account, market_app
from web.conftest import CODES

API = "/api/v1"
ROLES = {
    "seller": Role.SELLER,
    "buyer": Role.SELLER,
    "expert": Role.EXPERT,
    "admin": Role.ADMIN,
}


@pytest.fixture
def people(
    own_workspace: Workspace, run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[dict[str, httpx.Client]]:
    """Clients of a running market: one for each role, and one of nobody."""
    app = market_app(own_workspace)
    for name, role in ROLES.items():
        make_account(own_workspace, f"{name}@example.com", role)
    with run_server(app) as url, ExitStack() as stack:
        clients = {
            name: stack.enter_context(logged_in(url, f"{name}@example.com")) for name in ROLES
        }
        clients["nobody"] = stack.enter_context(httpx.Client(base_url=url, timeout=60))
        yield clients


def photo(seed: int = 9) -> bytes:
    return encode_jpeg(draw("disc", seed), 90)


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def slug(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


def drafted(seller: httpx.Client, code: str = CODES[0]) -> str:
    """A draft with a photo, a code, a grade and a price."""
    listing = ok(seller.post(f"{API}/listings"), 201)["id"]
    sent = {"photo": ("front.jpg", photo())}
    ok(
        seller.post(f"{API}/listings/{listing}/photos", data={"upload": "front-01"}, files=sent),
        201,
    )
    fields = {"code": code, "grade": "A", "price_krw": 1_200_000}
    ok(seller.patch(f"{API}/listings/{listing}", json=fields))
    return str(listing)


def test_a_good_is_listed_certified_sold_and_returned(people: dict[str, httpx.Client]) -> None:
    seller, buyer, expert = people["seller"], people["buyer"], people["expert"]
    nobody = people["nobody"]
    listing = drafted(seller)
    answer = ok(seller.post(f"{API}/listings/{listing}/identify"))
    assert answer["candidates"]
    kept = ok(seller.get(f"{API}/listings/{listing}"))
    assert kept["machine"]["candidates"] == answer["candidates"]
    ok(seller.post(f"{API}/listings/{listing}/steps/submit"))

    case = ok(expert.post(f"{API}/desk/next"))
    assert case["listing"]["id"] == listing
    assert {"certify", "reject", "ask_photos"} <= set(case["listing"]["steps"])
    asked = {"photos": ["inside_tag"], "text": "안쪽 태그를 보여 주세요", "seconds": 8}
    ok(expert.post(f"{API}/desk/{listing}/ask", json=asked))
    early = seller.post(f"{API}/listings/{listing}/steps/submit")
    assert early.status_code == 400
    assert "inside tag" in early.json()["detail"]
    assert "why it cannot be shown" in seller.get(f"/listings/{listing}?lang=en").text
    sent = {"photo": ("tag.jpg", photo(10))}
    more = {"upload": "tag-0001", "asked": "inside_tag"}
    ok(seller.post(f"{API}/listings/{listing}/photos", data=more, files=sent), 201)
    ok(seller.post(f"{API}/listings/{listing}/steps/submit"))
    ok(expert.post(f"{API}/desk/{listing}/claim"))
    certified = ok(
        expert.post(f"{API}/desk/{listing}/certify", json={"code": CODES[1], "seconds": 11})
    )
    assert (certified["state"], certified["code"]) == ("certified", CODES[1])
    events = ok(seller.get(f"{API}/listings/{listing}/events"))
    number = events[-1]["details"]["certificate"]
    certificate = ok(nobody.get(f"{API}/certificates/{number}"))
    assert certificate["holds"]
    assert len(certificate["photos"]) == 2

    assert nobody.get(f"{API}/goods/{listing}").status_code == 404
    ok(seller.post(f"{API}/listings/{listing}/steps/offer"))
    goods = ok(nobody.get(f"{API}/goods", params={"code": CODES[1], "to_krw": 2_000_000}))
    assert [one["id"] for one in goods["goods"]] == [listing]
    shown = nobody.get(goods["goods"][0]["photos"][0]["photo"])
    assert shown.headers["content-type"] == "image/jpeg"
    ok(buyer.post(f"{API}/goods/{listing}/reserve"))
    assert slug(buyer.post(f"{API}/goods/{listing}/reserve")) == "wrong-state"
    assert ok(buyer.get(f"{API}/reservations"))["reservations"][0]["good"] == listing
    assert ok(seller.post(f"{API}/goods/{listing}/sell"))["state"] == "sold"
    ok(seller.post(f"{API}/listings/{listing}/steps/return"))
    ok(seller.post(f"{API}/listings/{listing}/steps/offer"))
    revoked = people["admin"].post(f"{API}/certificates/{number}/revoke", json={"why": "위조"})
    assert ok(revoked)["state"] == "rejected"
    assert not ok(nobody.get(f"{API}/certificates/{number}"))["holds"]


def test_a_listing_is_its_sellers(people: dict[str, httpx.Client]) -> None:
    listing = drafted(people["seller"])
    sha = ok(people["seller"].get(f"{API}/listings/{listing}"))["photos"][0]["sha256"]
    address = f"{API}/listings/{listing}"
    for name in ("buyer", "expert", "admin"):
        other = people[name]
        refused = [
            other.patch(address, json={"text": "mine"}),
            other.put(f"{address}/photos", json={"photos": [sha]}),
            other.delete(f"{address}/photos/{sha}"),
            other.put(f"{address}/photos/{sha}/box", json={"box": "0,0,1,1"}),
            other.post(f"{address}/identify"),
            other.post(
                f"{address}/photos",
                data={"upload": "front-02"},
                files={"photo": ("a.jpg", photo())},
            ),
        ]
        assert [one.status_code for one in refused] == [403] * len(refused), name
        assert other.post(f"{address}/steps/submit").status_code == 409
    for path in ("", "/events", f"/photos/{sha}"):
        assert people["buyer"].get(address + path).status_code == 403
        assert people["expert"].get(address + path).status_code == 200
        assert people["nobody"].get(address + path).status_code == 401


def test_steps_that_are_not_open_name_the_state(people: dict[str, httpx.Client]) -> None:
    listing = drafted(people["seller"])
    answer = people["seller"].post(f"{API}/listings/{listing}/steps/offer")
    assert answer.status_code == 409
    assert "draft" in answer.json()["detail"]
    assert answer.json()["state"] == "draft"
    certify = {"code": CODES[0], "seconds": 1}
    assert people["expert"].post(f"{API}/desk/{listing}/certify", json=certify).status_code == 409
    assert people["buyer"].post(f"{API}/goods/{listing}/reserve").status_code == 409


def test_a_box_follows_the_good_and_bad_ones_are_refused(people: dict[str, httpx.Client]) -> None:
    seller = people["seller"]
    listing = drafted(seller)
    sha = ok(seller.get(f"{API}/listings/{listing}"))["photos"][0]["sha256"]
    box = f"{API}/listings/{listing}/photos/{sha}/box"
    assert ok(seller.put(box, json={"box": "0.1,0.1,0.9,0.9"}))["photos"][0]["box"]
    ok(seller.post(f"{API}/listings/{listing}/identify"))
    assert slug(seller.put(box, json={"box": "0.9,0.1,0.1,0.9"})) == "bad-box"
    assert ok(seller.put(box, json={"box": None}))["photos"][0]["box"] is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "listings/x", {"price_krw": 1.5}),
        ("PATCH", "listings/x", {"state": "sold"}),
        ("PUT", "listings/x/photos", {"photos": "no list"}),
        ("POST", "listings/x/steps/explode", None),
    ],
)
def test_what_does_not_fit_is_refused(
    people: dict[str, httpx.Client], method: str, path: str, body: object
) -> None:
    answer = people["seller"].request(method, f"{API}/{path}", json=body)
    assert answer.status_code == 422


def test_a_photo_that_cannot_be_used_is_refused_with_its_reason(
    people: dict[str, httpx.Client],
) -> None:
    listing = drafted(people["seller"])
    for data, expected in ((b"", "empty-photo"), (b"GIF89", "corrupt-photo"), (b"text", None)):
        answer = people["seller"].post(
            f"{API}/listings/{listing}/photos",
            data={"upload": "front-99"},
            files={"photo": ("a.jpg", data)},
        )
        assert answer.status_code in {415, 422}
        assert expected is None or slug(answer) in {expected, "unsupported-format"}


def test_photos_of_the_market_are_not_the_catalogues(
    people: dict[str, httpx.Client], own_workspace: Workspace
) -> None:
    listing = drafted(people["seller"])
    sha = ok(people["seller"].get(f"{API}/listings/{listing}"))["photos"][0]["sha256"]
    assert people["admin"].get(f"/photos/{sha}.jpg").status_code == 404
    assert Path(own_workspace.market_photos.path(sha)).exists()


def test_the_version_is_said_to_be_a_query_parameter(people: dict[str, httpx.Client]) -> None:
    described = ok(people["seller"].get("/openapi.json"))
    version = described["components"]["schemas"]["Listing"]["properties"]["version"]
    assert "query parameter `version`" in version["description"]
    change = described["paths"][f"{API}/listings/{{listing}}"]["patch"]
    assert ("version", "query") in [(one["name"], one["in"]) for one in change["parameters"]]
    listing = ok(people["seller"].post(f"{API}/listings"), 201)
    address, given = f"{API}/listings/{listing['id']}", {"text": "가죽"}
    seen = {"version": listing["version"]}
    ok(people["seller"].patch(address, params=seen, json=given))
    assert people["seller"].patch(address, params=seen, json=given).status_code == 409
