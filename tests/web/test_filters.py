"""Filters in the HTTP API and on the page."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape

import httpx
import pytest
from fastapi import FastAPI

from satchel.web.app import create_app
from satchel.workspace import Workspace

HTML = {"accept": "text/html"}
HTMX = {"accept": "text/html", "hx-request": "true"}
KOREAN = {"accept-language": "ko"}
BRANDS = {"M22675": "Maison", "A/01 B?": "Maison", "가방-7": "구찌", "Z-9": "Zoë & Co"}


def brand(workspace: Workspace) -> Workspace:
    """Give the four products brands of their own, and some of them a category."""
    catalogue = workspace.catalogue
    with catalogue.writing() as writer:
        for code, number in catalogue.ids_of_codes().items():
            writer.set_product(number, {"brand": BRANDS[code]})
            if code != "Z-9":
                writer.set_product(number, {"category": "bag" if code == "M22675" else "belt"})
    return workspace


@pytest.fixture
def client(own_workspace: Workspace, serve_app: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    return serve_app(create_app(brand(own_workspace)))


def post(client: httpx.Client, draw: Callable[..., bytes], query: str = "", **form: object):
    files = {"photos": ("a.jpg", draw("M22675"))}
    return client.post(f"/api/v1/identify{query}", files=files, data=form)


def codes(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {one["code"] for one in answer.json()["candidates"]}


@pytest.mark.parametrize(
    ("query", "form", "expected"),
    [
        ("", {}, {"M22675", "A/01 B?", "가방-7", "Z-9"}),
        ("?brand=maison", {}, {"M22675", "A/01 B?"}),
        ("?brand=maison&brand=구찌", {}, {"M22675", "A/01 B?", "가방-7"}),
        ("?brand=maison&category=BELT", {}, {"A/01 B?"}),
        ("?where=material=leather&where=brand=구찌", {}, {"가방-7"}),
        ("", {"where": ["brand=구찌", "", "category=belt"]}, {"가방-7"}),
        ("?brand=maison", {"where": "category=bag"}, {"M22675"}),
        ("?where=brand=Zoë %26 Co", {}, {"Z-9"}),
    ],
)
def test_only_products_that_pass_are_candidates(client, draw, query, form, expected):
    assert codes(post(client, draw, query, **form)) == expected


def test_an_answer_says_its_filter(client, draw):
    assert post(client, draw, "?brand=MAISON").json()["where"] == {"brand": ["Maison"]}
    assert post(client, draw).json()["where"] == {}


@pytest.mark.parametrize(
    ("query", "slug", "detail"),
    [
        ("?brand=Maisn", "no-match", "closest in the catalogue: Maison (2)"),
        ("?where=brnd=x", "no-match", "the catalogue has brand, category, colour"),
        ("?brand=구찌&category=bag", "no-match", "category is one of: belt (1)"),
        ("?where=brand", "bad-request", "ATTRIBUTE=VALUE"),
    ],
)
def test_filters_that_cannot_be_used(client, draw, query, slug, detail):
    answer = post(client, draw, query)
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["type"] == f"urn:satchel:problem:{slug}"
    assert detail in problem["detail"]
    if slug == "no-match":
        assert problem["closest"]
        assert problem["attribute"]


@pytest.mark.parametrize("query", ["?where=" + "x" * 500, "?" + "&".join(["brand=a"] * 51)])
def test_filters_that_are_too_long(client, draw, query):
    assert post(client, draw, query).status_code == 422


def test_facets(client):
    answer = client.get("/api/v1/facets").json()
    assert answer["products"] == 4
    counted = {
        facet["attribute"]: {one["value"]: one["products"] for one in facet["values"]}
        for facet in answer["facets"]
    }
    assert list(counted) == ["brand", "category", "colour", "material"]
    assert counted["brand"] == {"Maison": 2, "구찌": 1, "Zoë & Co": 1}
    some = client.get("/api/v1/facets?brand=maison&limit=1").json()
    assert some["products"] == 2
    assert [len(facet["values"]) for facet in some["facets"]] == [1, 1, 1, 1]
    assert some["facets"][0]["total"] == 3  # brands that could be chosen in its place
    assert client.get("/api/v1/facets?brand=x").status_code == 400


def test_the_page_offers_what_distinguishes_products(client):
    page = client.get("/", headers=HTML).text
    assert "Brand" in page
    assert 'value="brand=Maison">Maison (2)</option>' in page
    assert 'value="brand=Zoë &amp; Co"' in page
    assert "Colour" not in page  # all products are brown
    korean = client.get("/", headers={**HTML, **KOREAN}).text
    assert "아는 정보가 있으면 골라 주세요" in korean


def test_a_choice_narrows_the_others(client):
    part = client.get("/filters?where=brand=구찌", headers=HTMX).text
    assert "<html" not in part
    assert 'value="brand=구찌" selected' in part
    assert "belt (1)" in part
    assert "bag (" not in part
    assert "Maison (2)" in part  # the brand itself may still be changed
    for query in ("where=brand=nobody", "where=x", "where=brand=구찌&where=category=bag"):
        assert "selected" not in client.get(f"/filters?{query}", headers=HTMX).text


def test_a_page_without_javascript_filters_and_keeps_the_choice(client, draw):
    answer = client.post(
        "/identify",
        files={"photos": ("a.jpg", draw("M22675"))},
        data={"where": ["brand=구찌", ""]},
        headers=HTML,
        follow_redirects=True,
    )
    assert "Only products with 구찌 were compared." in answer.text
    assert 'value="brand=구찌" selected' in answer.text
    assert answer.text.count("<li data-candidate=") == 1


def test_the_page_says_in_words_that_nothing_matches(client, draw):
    answer = client.post(
        "/identify",
        files={"photos": ("a.jpg", draw("M22675"))},
        data={"where": ["brand=구찌", "category=bag"]},
        headers={**HTMX, **KOREAN},
    )
    assert answer.status_code == 400
    assert "조건에 맞는 상품이 없어요" in unescape(answer.text)


def test_values_of_a_catalogue_are_escaped(own_workspace, serve_app):
    catalogue = own_workspace.catalogue
    with catalogue.writing() as writer:
        for number, code in enumerate(catalogue.ids_of_codes().values()):
            writer.set_product(code, {"brand": f'"><script>{number % 2}</script>'})
    page = serve_app(create_app(own_workspace)).get("/", headers=HTML).text
    assert "<script>0" not in page
    assert "&lt;script&gt;0" in page


def test_a_catalogue_without_attributes_has_no_choices(empty_workspace, serve_app):
    client = serve_app(create_app(empty_workspace))
    assert 'class="filters" hidden' in client.get("/filters", headers=HTMX).text
    assert client.get("/api/v1/facets").json() == {"products": 0, "facets": []}


def test_categories_are_named_in_korean_and_stay_values(client, draw):
    choices = client.get("/filters", headers=HTMX | KOREAN).text
    assert 'value="category=belt"' in choices
    assert ">벨트 (2)<" in choices
    assert ">belt (2)<" in client.get("/filters", headers=HTMX).text
    files = {"photos": ("a.jpg", draw("M22675"))}
    form = {"where": "category=belt"}
    page = client.post("/identify", files=files, data=form, headers=HTMX | KOREAN).text
    assert "벨트" in page
    assert "가방" in client.get("/products/M22675", headers=HTML | KOREAN).text
