"""Look-alikes over HTTP: confirming on the page and by the API, and how answers show them."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import Decided, GroupState, Proposal
from satchel.catalog.lookalikes import LookAlikeStore
from satchel.web.app import create_app
from satchel.workspace import Workspace

PATH = "/review/look-alikes"
API = "/api/v1/look-alikes"


@pytest.fixture
def ids(own_workspace: Workspace) -> dict[str, int]:
    return own_workspace.catalogue.ids_of_codes()


@pytest.fixture
def store(own_workspace: Workspace, ids: dict[str, int]) -> LookAlikeStore:
    """M22675 and A/01 B? are proposed, and Z-9 with 가방-7."""
    store = own_workspace.catalogue.look_alikes
    pairs = (("M22675", "A/01 B?"), ("Z-9", "가방-7"))
    store.propose(
        Proposal(tuple(sorted(ids[code] for code in codes)), 0.96, (None, None)) for codes in pairs
    )
    return store


@pytest.fixture
def site(
    own_workspace: Workspace,
    store: LookAlikeStore,
    serve_app: Callable[[FastAPI], httpx.Client],
) -> httpx.Client:
    return serve_app(create_app(own_workspace))


def number_of(store: LookAlikeStore, code: str) -> int:
    groups = store.in_state(GroupState.PROPOSED)
    return next(group.number for group in groups if code in group.codes)


def test_products_stand_side_by_side_with_what_separates_them(
    site: httpx.Client, own_workspace: Workspace, store: LookAlikeStore
) -> None:
    page = site.get(PATH).text
    for code in ("M22675", "A/01 B?"):
        assert f'value="{code}" checked' in page
        for photo in own_workspace.catalogue.photos_of(code):
            assert f"/photos/{photo.sha256}.jpg" in page
    assert "가방-7" not in page  # one group at a time
    assert "2 groups proposed" in page
    assert "Model name" in page  # they differ in a word of their names
    korean = site.get(f"{PATH}?lang=ko").text
    assert "확인할 그룹 2개" in korean
    assert "외형이 같아요" in korean


def test_review_counts_the_groups_that_wait(site: httpx.Client, store: LookAlikeStore) -> None:
    assert '<a href="/review/look-alikes">Review <span class="badge">2</span>' in site.get("/").text
    for code in ("M22675", "Z-9"):
        store.decide(Choice.REJECT_GROUP, number_of(store, code))
    assert "badge" not in site.get("/").text
    assert "No look-alikes are proposed" in site.get(PATH).text


def test_confirming_rejecting_and_undoing(
    site: httpx.Client, store: LookAlikeStore, ids: dict[str, int]
) -> None:
    first, second = number_of(store, "M22675"), number_of(store, "Z-9")
    form = {"group": first, "choice": "confirm", "code": ["M22675", "A/01 B?"], "who": " 김 "}
    answer = site.post(f"{PATH}/decide", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}?after={first}")
    site.post(f"{PATH}/decide", data={"group": second, "choice": "reject"})
    low, high = sorted((ids["Z-9"], ids["가방-7"]))
    confirmed = tuple(sorted((ids["M22675"], ids["A/01 B?"])))
    assert store.decided() == Decided((confirmed,), frozenset({(low, high)}))
    listed = site.get(f"{PATH}/decisions").text
    assert listed.index("They differ") < listed.index("They look the same")
    assert "김" in listed
    form = {"decision": store.decision_on(second), "back": "decisions", "who": "이"}
    answer = site.post(f"{PATH}/undo", data=form)
    assert answer.headers["location"] == f"{PATH}/decisions"
    listed = site.get(f"{PATH}/decisions").text
    assert listed.index("undone") < listed.index("이") < listed.index("They look the same")
    answer = site.post(f"{PATH}/undo", data={"decision": store.decision_on(first)})
    assert answer.headers["location"] == f"{PATH}?after={first - 1}"
    assert store.decided() == Decided()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"group": 10**9, "choice": "confirm", "code": ["M22675", "A/01 B?"]}, 404),
        ({"group": 1, "choice": "confirm", "code": ["M22675"]}, 400),
        ({"group": 1, "choice": "confirm"}, 400),
        ({"group": 1, "choice": "confirm", "code": ["M22675", "Z-9"]}, 400),
        ({"group": 1, "choice": "burn"}, 422),
        ({"group": "x", "choice": "reject"}, 422),
        ({"group": 2**70, "choice": "reject"}, 422),
        ({"group": 1, "choice": "reject", "who": "x" * 61}, 422),
    ],
)
def test_wrong_forms_change_nothing(
    site: httpx.Client, store: LookAlikeStore, form: dict[str, object], status: int
) -> None:
    answer = site.post(f"{PATH}/decide", data=form, headers={"Accept": "text/html"})
    assert answer.status_code == status
    if status == 400:
        assert "Tick two products or more" in answer.text
    assert store.decided() == Decided()


def test_other_sites_decide_nothing(site: httpx.Client, store: LookAlikeStore) -> None:
    number = number_of(store, "Z-9")
    headers = {"Sec-Fetch-Site": "cross-site"}
    form = {"group": number, "choice": "reject"}
    assert site.post(f"{PATH}/decide", data=form, headers=headers).status_code == 403
    decision = {"choice": "reject"}
    assert site.post(f"{API}/{number}", json=decision, headers=headers).status_code == 403
    assert store.decided() == Decided()


def test_the_api_lists_and_decides(site: httpx.Client, store: LookAlikeStore) -> None:
    page = site.get(API, params={"state": "proposed", "limit": 1}).json()
    assert page["total"] == 2
    (group,) = page["groups"]
    assert (group["codes"], group["state"], group["likeness"]) == (
        ["M22675", "A/01 B?"],
        "proposed",
        0.96,
    )
    assert group["differences"][0]["values"] == {"M22675": "<0>", "A/01 B?": "<1>"}
    further = site.get(API, params={"state": "proposed", "after": group["group"]}).json()
    assert [one["codes"] for one in further["groups"]] == [["가방-7", "Z-9"]]
    url = f"{API}/{group['group']}"
    confirmed = site.post(url, json={"choice": "confirm", "by": "Kim"}).json()
    assert (confirmed["state"], confirmed["decided_by"]) == ("confirmed", "Kim")
    assert confirmed["decided_at"].endswith("Z")
    assert site.get(API).json()["groups"] == [confirmed]
    assert site.post(url, json={"choice": "reject"}).status_code == 400  # decided already
    assert site.post(url, json={"choice": "undo"}).json()["state"] == "proposed"
    assert site.post(url, json={"choice": "undo"}).status_code == 404
    assert site.post(url, json={"choice": "confirm", "codes": ["Z-9"]}).status_code == 400
    assert site.post(url, json={"choice": "confirm", "more": 1}).status_code == 422
    assert store.decided() == Decided()


def test_an_answer_shows_a_group_as_one(
    site: httpx.Client, store: LookAlikeStore, draw: Callable[..., bytes]
) -> None:
    photos = {"photos": ("bag.jpg", draw("M22675"))}
    apart = site.post("/api/v1/identify", files=photos).json()["candidates"]
    assert [one["look_alikes"] for one in apart] == [None] * 4
    store.decide(Choice.CONFIRM_GROUP, number_of(store, "M22675"))
    first, *others = site.post("/api/v1/identify", files=photos).json()["candidates"]
    assert len(others) == 2
    assert [one["code"] for one in first["look_alikes"]["members"]] == ["M22675", "A/01 B?"]
    assert first["look_alikes"]["members"][1]["product"] == "/products/A%2F01%20B%3F"
    assert first["look_alikes"]["advice"] == "<0>, <1>: compare name"
    page = site.post("/identify", files=photos, follow_redirects=True).text
    assert "Same look" in page
    assert page.count('class="rank"') == 3
    for code in ("M22675", "A%2F01%20B%3F"):  # each product's page tells of the other
        assert "Photos cannot tell these apart" in site.get(f"/products/{code}").text
    assert "Photos cannot tell these apart" not in site.get("/products/Z-9").text


def test_the_reference_describes_a_decision(site: httpx.Client) -> None:
    page = site.get("/docs").text
    assert "operation-decide_look_alikes" in page
    assert "application/json" in page
