"""The review of photos: deciding, undoing, and who may."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from satchel.catalog.decisions import Choice
from satchel.curate.rules import CurationRules
from satchel.encode.embedder import Embedder
from satchel.search.index import GalleryIndex
from satchel.web.app import create_app
from satchel.web.reindexing import Reindexing
from satchel.workspace import Workspace
from support.stub_encoder import stub_encoder

CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
]


@pytest.fixture
def doubted(own_workspace: Workspace) -> Workspace:
    """One photo of each of two products in doubt, one of them said to stand under both."""
    catalogue = own_workspace.catalogue
    review = catalogue.review
    first, second = review.of_product("M22675")[0], review.of_product("Z-9")[0]
    reason = {"kind": "two_codes", "codes": ["Z-9"], "photos": [second.sha256]}
    catalogue.curation.set_states(
        [
            (
                first.link_id,
                "doubtful",
                [reason, {"kind": "blurred", "figure": 1.5, "threshold": 5}],
            ),
            (second.link_id, "doubtful", [{"kind": "collage", "figure": 2, "threshold": 1}]),
        ]
    )
    return own_workspace


@pytest.fixture
def site(doubted: Workspace, serve_app: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    app = create_app(doubted)
    app.state.server.reindexing = Reindexing(doubted, quiet_s=0.2)
    return serve_app(app)


def link_of(workspace: Workspace, code: str) -> int:
    return workspace.catalogue.review.of_product(code)[0].link_id


def test_the_photo_in_question_is_shown_with_the_kept_ones(
    site: httpx.Client, doubted: Workspace
) -> None:
    page = site.get("/review", headers={"Accept": "text/html"}).text
    asked, kept = doubted.catalogue.review.of_product("M22675")
    assert f"/photos/{asked.sha256}.jpg" in page
    assert f"/thumbnails/{kept.sha256}.jpg?side=320" in page
    assert "2 photos in doubt" in page
    assert "The same photo under several codes" in page
    assert "Not sharp" in page
    assert 'value="keep_both"' in page
    korean = site.get("/review?lang=ko").text
    assert "확인이 필요한 사진 2장" in korean


def test_what_a_photo_is_nearer_to_is_shown_and_proposed(
    site: httpx.Client, doubted: Workspace
) -> None:
    store = doubted.catalogue.review
    photo = store.of_product("M22675")[1]
    reason = {
        "kind": "other_product",
        "score": 0.1,
        "cosine_to_product": 0.5,
        "cosine_to_other": 0.6,
        "codes": ["A/01 B?"],
    }
    doubted.catalogue.curation.set_states([(photo.link_id, "doubtful", [reason])])
    page = site.get("/review", params={"after": photo.link_id - 1}).text
    assert "Photos of A/01 B?, which it is nearer to" in page
    for other in store.of_product("A/01 B?"):
        assert f"/thumbnails/{other.sha256}.jpg?side=320" in page
    assert 'value="A/01 B?" hx-get="/review/codes"' in page
    assert "similarity to this product 0.5, to the nearest other 0.6" in page


def test_a_copy_is_shown_with_its_original(site: httpx.Client, doubted: Workspace) -> None:
    original, copy = doubted.catalogue.review.of_product("M22675")
    reason = {"kind": "copy", "of": original.sha256}
    doubted.catalogue.curation.set_states([(copy.link_id, "dropped", [reason])])
    page = site.get("/review?state=dropped").text
    after = page[page.index("What it is a copy of") :]
    assert f"/thumbnails/{original.sha256}.jpg?side=320" in after
    assert "What it is a copy of" not in site.get("/review").text


def test_keeping_dropping_and_undoing(site: httpx.Client, doubted: Workspace) -> None:
    review, link = doubted.catalogue.review, link_of(doubted, "M22675")
    form = {"link_id": link, "choice": "drop", "who": " 김 "}
    answer = site.post("/review/decide", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/review?after={link}")
    assert review.photo(link).state == "dropped"
    (decision,) = review.history()
    assert decision.by == "김"
    page = site.get("/review").text
    assert 'value="김"' in page  # the name is still there for the next one
    assert "1 photo in doubt" in page
    listed = site.get("/review/decisions").text
    assert "M22675" in listed
    assert "김" in listed
    answer = site.post("/review/undo", data={"decision": decision.id, "after": link})
    assert answer.status_code == 303
    assert review.photo(link).state == "doubtful"
    assert "undone" in site.get("/review/decisions").text


def test_keep_both_keeps_the_picture_under_both_codes(
    site: httpx.Client, doubted: Workspace
) -> None:
    review = doubted.catalogue.review
    first, second = link_of(doubted, "M22675"), link_of(doubted, "Z-9")
    site.post("/review/decide", data={"link_id": first, "choice": "keep_both"})
    assert [review.photo(link).state for link in (first, second)] == ["kept", "kept"]
    assert review.history()[0].kind is Choice.KEEP_BOTH
    assert "Nothing is in doubt" in site.get("/review").text


def test_moving_to_another_code(site: httpx.Client, doubted: Workspace) -> None:
    review, link = doubted.catalogue.review, link_of(doubted, "M22675")
    options = site.get("/review/codes", params={"code": "A/0"}).text
    assert 'value="A/01 B?"' in options
    site.post("/review/decide", data={"link_id": link, "choice": "move", "code": "A/01 B?"})
    assert review.photo(link).state == "dropped"
    assert review.photo(link).sha256 in {p.sha256 for p in review.of_product("A/01 B?")}


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"link_id": 10**9, "choice": "keep"}, 404),
        ({"link_id": 2**70, "choice": "keep"}, 422),
        ({"link_id": "x", "choice": "keep"}, 422),
        ({"choice": "keep"}, 422),
        ({"link_id": 1, "choice": "burn"}, 422),
        ({"link_id": 1, "choice": "move", "code": "NOPE"}, 404),
        ({"link_id": 1, "choice": "move", "code": "x" * 201}, 422),
        ({"link_id": 1, "choice": "keep", "who": "x" * 61}, 422),
        ({"link_id": 1, "choice": "keep", "kind": "../x"}, 422),
    ],
)
def test_wrong_forms_change_nothing(
    site: httpx.Client, doubted: Workspace, form: dict[str, object], status: int
) -> None:
    answer = site.post("/review/decide", data=form)
    assert answer.status_code == status
    assert "Choice." not in answer.text  # names of classes say nothing to a client
    assert doubted.catalogue.review.history() == []


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_other_sites_decide_nothing(
    site: httpx.Client, doubted: Workspace, headers: dict[str, str]
) -> None:
    form = {"link_id": link_of(doubted, "M22675"), "choice": "drop"}
    answer = site.post("/review/decide", data=form, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:satchel:problem:other-origin"
    assert "Content-Security-Policy" in answer.headers
    page = site.post("/review/decide", data=form, headers={**headers, "Accept": "text/html"})
    assert page.status_code == 403
    assert "another site" in page.text
    assert doubted.catalogue.review.history() == []
    # Programs say nothing of where they come from, and our own pages say that they are ours.
    for own in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": str(site.base_url).rstrip("/")}):
        assert site.post("/review/undo", data={"decision": 1}, headers=own).status_code == 404


def test_a_name_is_text_and_nothing_else(site: httpx.Client, doubted: Workspace) -> None:
    form = {"link_id": link_of(doubted, "M22675"), "choice": "keep", "who": '"><script>x</script>'}
    site.post("/review/decide", data=form)
    for path in ("/review", "/review/decisions"):
        assert "<script>x" not in site.get(path).text


def test_the_product_page_brings_a_dropped_photo_back(
    site: httpx.Client, doubted: Workspace
) -> None:
    review, link = doubted.catalogue.review, link_of(doubted, "M22675")
    page = site.get("/products/M22675").text
    assert "1 photo left out or in doubt" in page
    answer = site.post(
        "/review/decide", data={"link_id": link, "choice": "keep", "back": "product"}
    )
    assert answer.headers["location"] == "/products/M22675"
    assert review.photo(link).state == "kept"
    assert "left out or in doubt" not in site.get("/products/M22675").text


def test_the_index_follows_a_moment_later(site: httpx.Client, doubted: Workspace) -> None:
    before = len(GalleryIndex.load(doubted.index_path))
    link = doubted.catalogue.review.of_product("가방-7")[1].link_id
    site.post("/review/decide", data={"link_id": link, "choice": "drop"})
    deadline = time.monotonic() + 20
    while len(GalleryIndex.load(doubted.index_path)) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    # Without the dropped one, and without the two that are in doubt.
    assert len(GalleryIndex.load(doubted.index_path)) == before - 3


def test_a_rebuild_that_was_still_to_come_is_made_at_the_end(doubted: Workspace) -> None:
    reindexing = Reindexing(doubted, quiet_s=3600)
    before = len(GalleryIndex.load(doubted.index_path))
    reindexing.finish()
    assert len(GalleryIndex.load(doubted.index_path)) == before
    reindexing.soon()
    reindexing.finish()
    assert len(GalleryIndex.load(doubted.index_path)) == before - 2


def test_decisions_outlive_another_curation(site: httpx.Client, doubted: Workspace) -> None:
    from satchel.workflows.curate import curate_catalogue

    link = link_of(doubted, "M22675")
    site.post("/review/decide", data={"link_id": link, "choice": "drop"})
    curate_catalogue(doubted, CurationRules(), embedder=Embedder(stub_encoder()))
    assert doubted.catalogue.review.photo(link).state == "dropped"
