from __future__ import annotations

import re
import sys
from html import unescape
from types import ModuleType

import httpx
import pytest

from satchel.records import Verdict
from satchel.web.app import create_app
from satchel.workspace import Workspace

HTML = {"accept": "text/html,application/xhtml+xml"}
HTMX = {"accept": "text/html", "hx-request": "true"}
KOREAN = {"accept-language": "ko-KR,ko;q=0.9"}


def lang(answer: httpx.Response) -> str:
    return answer.text.split('<html lang="', 1)[1].split('"', 1)[0]


# -- languages ----------------------------------------------------------------------------------


def test_language_is_the_browsers_then_the_readers(server):
    with httpx.Client(base_url=server, headers=HTML) as reader:
        assert lang(reader.get("/")) == "en"
        assert lang(reader.get("/", headers=KOREAN)) == "ko"
        chosen = reader.get("/products?query=Z&lang=ko")
        assert lang(chosen) == "ko"
        assert "상품" in chosen.text
        cookie = chosen.headers["set-cookie"].lower()
        assert "samesite=lax" in cookie
        assert "httponly" in cookie
        assert lang(reader.get("/")) == "ko"
        assert lang(reader.get("/", headers={"accept-language": "en"})) == "ko"
        assert lang(reader.get("/?lang=en")) == "en"
        assert lang(reader.get("/", headers=KOREAN)) == "en"


def test_a_language_that_we_do_not_have(client):
    answer = client.get("/?lang=tlh", headers=HTML)
    assert lang(answer) == "en"
    assert "set-cookie" not in answer.headers


def test_vary_header_names_what_a_page_depends_on(client):
    headers = client.get("/", headers=HTML).headers
    assert {"Accept-Language", "Cookie", "HX-Request"} <= set(headers["vary"].split(", "))


def test_the_switch_stays_on_the_page(client):
    page = unescape(client.get("/products/A%2F01%20B%3F?x=1&lang=en", headers=HTML).text)
    assert 'href="/products/A/01%20B%3F?x=1&lang=ko"' in page
    evil = unescape(client.get("//evil.example/x", headers=HTML).text)
    assert 'href="//' not in evil


# -- identify -----------------------------------------------------------------------------------


def test_an_answer_without_javascript_is_a_page(client, draw):
    answer = client.post(
        "/identify",
        files={"photos": ("a.jpg", draw("M22675"))},
        headers={**HTML, **KOREAN},
        follow_redirects=True,
    )
    assert answer.status_code == 200
    assert lang(answer) == "ko"
    assert answer.text.index("M22675") < answer.text.index("Z-9")
    assert client.get("/identify", headers=HTML).headers["location"] == "/"


def test_names_of_products_are_escaped(client, draw):
    answer = client.post(
        "/identify", files={"photos": ("a.jpg", draw("M22675"))}, headers=HTMX
    ).text
    assert "Model &lt;0&gt;" in answer
    assert "<0>" not in answer


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_its_words(own_workspace, draw, verdict):
    from dataclasses import replace

    from satchel.identify import Identifier
    from satchel.web.languages import load_languages
    from satchel.web.links import photo_link, product_link, thumbnail_link

    found = replace(
        Identifier.open(own_workspace).identify(draw("M22675")),
        verdict=Verdict(verdict),
        likely=3,
        own_pictures=((),),
    )
    words = {
        "identified": ("Very probably M22675", "M22675일 가능성이 매우 높아요"),
        "probable": ("Probably M22675", "M22675인 것으로 보여요"),
        "one_of": ("Probably one of these 3", "이 3개 모델 중 하나로 보여요"),
        "uncertain": ("compare them all", "모두 비교해 주세요"),
        "not_in_catalogue": ("Probably not in this catalogue", "이 카탈로그에 없는 상품"),
    }[verdict]
    links = {
        "photo_link": photo_link,
        "product_link": product_link,
        "thumbnail_link": thumbnail_link,
        "other_detections": lambda *_: [],
    }
    for language, said in zip(load_languages(links).values(), words, strict=True):
        template = language.templates.get_template("_result.html")
        html = template.render(found=found, kept=(), answer=None, refused=())
        assert said in re.sub(r"<[^>]+>", "", html)


@pytest.mark.parametrize(("visible", "folded"), [([], ["Price"]), (["가격"], ["Material"])])
def test_what_cannot_be_seen_is_folded_away(own_workspace, serve_app, visible, folded):
    edit = {"code": "M22675", "values": {"price": "1200", "material": "calf"}}
    settings = own_workspace.settings
    chosen = settings.catalogue.model_copy(update={"visible": visible})
    shop = Workspace(own_workspace.folder, settings.model_copy(update={"catalogue": chosen}))
    client = serve_app(create_app(shop))
    assert client.post("/api/v1/edits/columns", json=edit).status_code == 200
    page = client.get("/products/M22675", headers=HTML).text
    unseen = page.split('<details class="unseen">', 1)[1].split("</details>", 1)[0]
    assert [name for name in ("Price", "Material") if f"<dt>{name}</dt>" in unseen] == folded
    for name in ("Price", "Material"):
        assert page.count(f"<dt>{name}</dt>") == 1


def test_the_catalogues_own_picture_is_named_as_such(client, own_workspace):
    photo = own_workspace.catalogue.photos_of("M22675")[0]
    files = {"photos": ("a.jpg", own_workspace.photos.read(photo.sha256))}
    code = '<span class="model">M22675</span>'
    for headers, said in (
        ({}, f"This is the catalogue's own picture of {code}"),
        (KOREAN, f"카탈로그에 있는 {code}의 사진이에요"),
    ):
        answer = client.post("/identify", files=files, headers={**HTMX, **headers})
        assert said in unescape(answer.text)


@pytest.mark.parametrize(
    ("data", "status", "english", "korean"),
    [
        (b"a text", 415, "not a photo that Satchel can read", "읽을 수 있는 사진이 아니에요"),
        (b"", 422, "has no content", "빈 파일이에요"),
        (b"\xff\xd8\xff\xe0abc", 422, "damaged", "손상되었거나"),
    ],
)
def test_a_bad_photo_is_reported_in_place_in_plain_words(client, data, status, english, korean):
    files = {"photos": ("<b>.jpg", data)}
    for headers, said in (({}, english), (KOREAN, korean)):
        answer = client.post("/identify", files=files, headers={**HTMX, **headers})
        assert answer.status_code == status
        assert "<html" not in answer.text
        assert said in answer.text
        assert 'data-photo="1"' in answer.text


def test_a_bad_photo_without_javascript_is_reported_on_a_page(client):
    answer = client.post("/identify", files={"photos": ("a.jpg", b"text")}, headers=HTML)
    assert answer.status_code == 415
    assert lang(answer) == "en"


def test_sending_nothing_is_reported(client):
    for files in ({"other": ("a", b"a")}, [("photos", ("a", b""))] * 9):
        answer = client.post("/identify", files=files, headers=HTMX)
        assert answer.status_code in (400, 422)
        assert "Add 1 to 8 photos of one item." in answer.text


@pytest.mark.parametrize("installed", [False, True])
def test_heic_is_offered_where_it_can_be_read(own_workspace, serve_app, monkeypatch, installed):
    """By page and API: `accept` without HEIC lets Safari convert a photo that we could not read."""
    reader = ModuleType("pi_heif")
    reader.register_heif_opener = lambda **_: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pi_heif", reader if installed else None)
    client = serve_app(create_app(own_workspace))
    field = client.get("/", headers=HTML).text.split('id="photos"', 1)[1].split(">", 1)[0]
    accepted = field.split('accept="', 1)[1].split('"', 1)[0].split(",")
    always = ["image/jpeg", "image/png", "image/webp", "image/avif"]
    always += ["image/gif", "image/bmp", "image/tiff"]
    assert set(always) <= set(accepted)
    assert set(accepted) - set(always) == (
        {"image/heic", "image/heif", ".heic", ".heif"} if installed else set()
    )
    body = client.get("/openapi.json").json()["components"]["schemas"]["Body_identify"]
    assert ("HEIC" in body["properties"]["photos"]["description"]) is installed
    assert body["properties"]["photos"]["maxItems"] == 8


def test_an_empty_workspace_says_what_to_do(empty_workspace, serve_app):
    client = serve_app(create_app(empty_workspace))
    for path in ("/", "/products"):
        page = client.get(path, headers=HTML).text
        assert "satchel import catalogue.csv\nsatchel index" in page
        assert (
            "카탈로그에 등록된 상품이 없어요" in client.get(path, headers={**HTML, **KOREAN}).text
        )
    sent = client.post("/identify", files={"photos": ("a.jpg", b"x")}, headers=HTMX)
    assert sent.status_code == 503
    assert "satchel index" in sent.text


def test_a_catalogue_without_index_says_what_to_do(
    empty_workspace, serve_app, add_without_index, tmp_path
):
    client = serve_app(create_app(empty_workspace))
    add_without_index(empty_workspace.folder, tmp_path / "more", "M22675")
    page = client.get("/", headers=HTML).text
    assert "has 2 photos" in page
    assert "satchel import" not in page
    assert "satchel index" in page


# -- catalogue ----------------------------------------------------------------------------------


def test_search_gives_whole_pages_and_parts(client):
    whole = client.get("/products?query=z", headers=HTML).text
    part = client.get("/products?query=z", headers=HTMX).text
    for text in (whole, part):
        assert "Z-9" in text
        assert "M22675" not in text
        assert "1 product matches" in text
    assert "<html" in whole
    assert "<html" not in part


def test_what_was_searched_for_is_escaped(client):
    page = client.get("/products", params={"query": '"><script>x</script>'}, headers=HTML).text
    assert "<script>x" not in page
    assert "Nothing matches" in page


def test_more_products_come_in_stretches(own_workspace, serve_app, monkeypatch):
    monkeypatch.setattr("satchel.web.pages.products.PAGE_PRODUCTS", 3)
    client = serve_app(create_app(own_workspace))
    first = client.get("/products", headers=HTML).text
    more = unescape(first.split('hx-get="/products?', 1)[1].split('"', 1)[0])
    rest = client.get(f"/products?{more}", headers=HTMX).text
    assert first.count('class="tile"') == 3
    assert rest.count('class="tile"') == 1
    assert "Show more" not in rest


def test_a_product_page_shows_every_photo(client, codes):
    for code in codes:
        link = client.get("/api/v1/products", params={"query": code}).json()["products"][0]
        page = client.get(link["product"], headers=HTML).text
        assert page.count("/photos/") == 2
        assert "leather" in page
        part = client.get(link["product"], headers=HTMX).text
        assert "<html" not in part
        assert part.count("/photos/") == 2


@pytest.mark.parametrize("path", ["/products/NOPE", "/nothing", "/products/%FF"])
def test_a_missing_page_is_reported_on_a_page(client, path):
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 404
    assert "This page does not exist" in answer.text
    assert "페이지를 찾을 수 없어요" in client.get(path, headers={**HTML, **KOREAN}).text


def test_programs_get_problems_from_pages_too(client):
    answer = client.get("/products/NOPE")
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unexpected_error_is_reported_on_a_page(own_workspace, serve_app):
    app = create_app(own_workspace)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the secret path")

    answer = serve_app(app).get("/broken", headers=HTML)
    assert answer.status_code == 500
    assert "went wrong inside Satchel" in answer.text
    assert "secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


# -- reference ----------------------------------------------------------------------------------


def test_the_reference_shows_every_address_and_object(client):
    page = client.get("/docs", headers=HTML).text
    schema = client.get("/openapi.json").json()
    for path in schema["paths"]:
        assert path in page
    for name, described in schema["components"]["schemas"].items():
        if not name.startswith("Body_") and "enum" not in described:
            assert f'id="{name}"' in page
    assert "curl -F photos=@front.jpg" in page
    assert "cdn" not in page
