"""Sitemaps, mark-up of product pages, and which product of the catalogue they mean."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satchel.catalog.brands import Brands
from satchel.collect.shops import sitemap
from satchel.collect.shops.markup import Page, Photo, ShopProduct, read_page
from satchel.collect.shops.matching import Matcher
from satchel.collect.shops.sitemap import MAX_URLS, Sitemap, read_sitemap
from satchel.errors import FetchError
from satchel.records import Product

URL = "https://shop.test/p/saddle"
XMLNS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def page(*values: Any, head: str = "") -> bytes:
    scripts = "".join(
        f'<script type="application/ld+json">{json.dumps(value)}</script>' for value in values
    )
    return f"<!doctype html><html><head>{head}{scripts}</head><body><p>Bag</body>".encode()


def products(*values: Any, head: str = "") -> tuple[ShopProduct, ...]:
    return read_page(page(*values, head=head), URL).products


# -- sitemaps -------------------------------------------------------------------------------------


def urlset(*urls: str) -> bytes:
    entries = "".join(f"<url><loc> {url} </loc><lastmod>2026-01-01</lastmod></url>" for url in urls)
    return f'<?xml version="1.0"?><urlset {XMLNS}>{entries}</urlset>'.encode()


def test_sitemaps_are_read_plain_gzipped_and_as_text() -> None:
    urls = ("https://shop.test/a", "https://shop.test/b?x=1&amp;y=2")
    expected = Sitemap((urls[0], "https://shop.test/b?x=1&y=2"))
    assert read_sitemap(urlset(*urls)) == expected
    assert read_sitemap(gzip.compress(urlset(*urls))) == expected
    assert read_sitemap(b"https://shop.test/a\n\nno url\n") == Sitemap(("https://shop.test/a",))


def test_an_index_names_sitemaps_and_photos_of_pages_are_no_pages() -> None:
    index = f"<sitemapindex {XMLNS}><sitemap><loc>https://shop.test/1.xml.gz</loc></sitemap>"
    assert read_sitemap(f"{index}</sitemapindex>".encode()).sitemaps == (
        "https://shop.test/1.xml.gz",
    )
    image = '<i:image xmlns:i="x"><i:loc>https://shop.test/a.jpg</i:loc></i:image>'
    body = urlset("https://shop.test/a").replace(b"</url>", f"{image}</url>".encode())
    assert read_sitemap(body).pages == ("https://shop.test/a",)


def test_what_comes_before_a_fault_is_kept() -> None:
    assert read_sitemap(urlset("https://shop.test/a") + b"<oops").pages == ("https://shop.test/a",)


@pytest.mark.parametrize("body", [b"", b"<html><p>Not found", b"\x1f\x8bno", b"just text", b"<a/>"])
def test_what_is_no_sitemap_is_refused(body: bytes) -> None:
    with pytest.raises(FetchError, match="it is no"):
        read_sitemap(body)


def test_entities_are_not_expanded() -> None:
    secret = '<!DOCTYPE urlset [<!ENTITY a "https://evil.test/"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    body = f"{secret}<urlset><url><loc>&a;</loc></url><url><loc>&f;</loc></url></urlset>"
    assert read_sitemap(body.encode()).pages == ()


def test_a_sitemap_has_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    many = urlset(*(f"https://shop.test/{number}" for number in range(MAX_URLS + 5)))
    assert len(read_sitemap(many).pages) == MAX_URLS
    monkeypatch.setattr(sitemap, "MAX_BYTES", 10_000)
    with pytest.raises(FetchError, match="larger than"):
        read_sitemap(gzip.compress(b"<urlset>" + b" " * 100_000))


PIECES = (
    b"<urlset>", b"</urlset>", b"<url>", b"<loc>", b"</loc>", b"https://a.test/", b"</url>",
    b"&lt;", b"<!DOCTYPE a>", b"<![CDATA[", b"]]>", b"<!--", b"\x1f\x8b", b"\xff", b"<sitemap>",
)  # fmt: skip


@given(st.binary(max_size=400) | st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join))
def test_any_bytes_are_a_sitemap_or_refused(body: bytes) -> None:
    try:
        found = read_sitemap(body)
    except FetchError:
        return
    assert all(url.startswith("http") for url in (*found.pages, *found.sitemaps))


# -- mark-up --------------------------------------------------------------------------------------

SADDLE = {
    "@context": "https://schema.org",
    "@type": "Product",
    "name": "Saddle bag",
    "sku": 22675,
    "mpn": "S22675",
    "brand": {"@type": "Brand", "name": "Dior"},
    "image": ["/a.jpg", {"@type": "ImageObject", "contentUrl": "https://cdn.test/b.jpg",
                         "license": "https://cc.test/by"}],
}  # fmt: skip
PHOTOS = (Photo("https://shop.test/a.jpg"), Photo("https://cdn.test/b.jpg", "https://cc.test/by"))
READ = ShopProduct(("S22675", "22675"), "Saddle bag", "Dior", PHOTOS)


@pytest.mark.parametrize(
    "value",
    [
        SADDLE,
        [SADDLE],
        {"@graph": [{"@type": "WebPage"}, SADDLE]},
        {"@type": "ItemPage", "mainEntity": SADDLE},
        {"@type": "ItemList", "itemListElement": [{"@type": "ListItem", "item": SADDLE}]},
        {**SADDLE, "@type": ["http://schema.org/Product", "Thing"]},
    ],
)
def test_a_product_is_found_where_shops_put_it(value: Any) -> None:
    assert products(value) == (READ,)


def test_a_group_yields_its_variants_with_its_brand() -> None:
    variants = [
        {"@type": "Product", "sku": "M1-RED", "image": "red.jpg", "name": "Saddle, red"},
        {"@type": "Product", "sku": "M1-BLUE", "image": {"url": "blue.jpg"}},
        {"@id": "#elsewhere"},
    ]
    group = {"@type": "ProductGroup", "name": "Saddle", "brand": "Dior", "hasVariant": variants}
    red, blue = products({**group, "image": "group.jpg"})
    assert red == ShopProduct(
        ("M1-RED",), "Saddle, red", "Dior", (Photo("https://shop.test/p/red.jpg"),)
    )
    assert blue.name == "Saddle"
    assert blue.photos == (Photo("https://shop.test/p/blue.jpg"),)
    (alone,) = products({"@type": "ProductGroup", "productGroupID": "M1", "image": "g.jpg"})
    assert alone.codes == ("M1",)


def test_open_graph_is_the_fallback() -> None:
    head = (
        '<meta property="og:type" content="product"><meta property="og:title" content="Saddle">'
        '<meta property="og:image" content="/og.jpg"><meta property="product:brand" content="Dior">'
        '<meta property="product:retailer_item_id" content="S22675">'
    )
    shown = ShopProduct(("S22675",), "Saddle", "Dior", (Photo("https://shop.test/og.jpg"),))
    assert products(head=head) == (shown,)
    assert products(SADDLE, head=head) == (READ,)
    (bare,) = products({**SADDLE, "image": None}, head=head)
    assert bare.photos == shown.photos
    assert products(head=head.replace("product", "article")) == ()


def test_what_the_owner_reserves_is_said() -> None:
    for head in (
        '<meta name="robots" content="index, noai">',
        '<meta name="Robots" content="NOIMAGEAI">',
        '<meta name="tdm-reservation" content="1">',
    ):
        assert read_page(page(SADDLE, head=head), URL).reserved
    assert not read_page(page(SADDLE, head='<meta name="robots" content="follow">'), URL).reserved


def test_broken_scripts_and_pages_cost_only_themselves() -> None:
    broken = b'<script type="application/ld+json">{"@type": "Product", </script>'
    assert read_page(broken + page(SADDLE), URL).products == (READ,)
    assert read_page(page(SADDLE)[:-20], URL).products == (READ,)
    assert read_page(b"", URL) == Page()
    deep = b'<script type="application/ld+json">' + b"[" * 200_000 + b"</script>"
    assert read_page(deep, URL).products == ()


def test_korean_pages_are_read_in_their_encoding() -> None:
    body = page({**SADDLE, "name": "x"}).replace(b'"x"', '"새들백"'.encode("cp949"))
    (shown,) = read_page(body, URL, "euc-kr").products
    assert shown.name == "새들백"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["Product", "ProductGroup", "a.jpg", "http://[", "//x", "javascript:1"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["@type", "@graph", "image", "sku", "name", "brand", "hasVariant", "url",
                         "license", "mainEntity", "contentUrl", "item"]), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@given(JSON)
def test_any_json_is_read_without_a_fault(value: Any) -> None:
    for shown in products(
        value, {"@type": "Product", "image": value, "brand": value, "sku": value}
    ):
        assert all(photo.url.startswith("http") for photo in shown.photos)
        assert all(isinstance(code, str) and code for code in shown.codes)


@given(st.binary(max_size=600))
def test_any_bytes_are_a_page(body: bytes) -> None:
    read_page(body, URL)
    read_page(b"<html><meta name=robots content='" + body, URL, "utf-8")


# -- matching -------------------------------------------------------------------------------------

CATALOGUE = (
    Product("S22675", brand="Dior", name="Saddle Bag"),
    Product("M-7", brand="Dior", name="Lady"),
    Product("A1", brand="Chanel", name="Classic Flap"),
    Product("B123", brand="Chanel", name="Boy"),
    Product("B124", brand="Chanel", name="Boy"),
)


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (ShopProduct(("X", "s-22675")), "S22675"),
        (ShopProduct(("M7",)), None),  # short codes are compared as they are
        (ShopProduct(("m-7",)), "M-7"),
        (ShopProduct(("S22675", "B123")), None),  # of two products: of neither
        (ShopProduct(("999",), "Saddle Bag in black", "크리스찬 디올"), "S22675"),
        (ShopProduct((), "Dior Lady", "DIOR"), "M-7"),
        (ShopProduct((), "Lady bag with a strap", "Dior"), None),  # one word is too little
        (ShopProduct((), "Boy", "Chanel"), None),  # two products have this name
        (ShopProduct((), "Saddle Bag", "Gucci"), None),
        (ShopProduct((), "Saddle Bag"), None),
        (ShopProduct(("B123",), "Classic Flap", "Chanel"), "B123"),  # the code is surer
    ],
)
def test_products_are_matched_by_code_or_by_name_and_brand(
    shown: ShopProduct, code: str | None
) -> None:
    assert Matcher(CATALOGUE, Brands()).match(shown) == code
