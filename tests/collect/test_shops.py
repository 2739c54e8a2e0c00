"""Shops are read from sitemap to photos, page by page, each page once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import select

from satchel.collect.hosts import Patience
from satchel.collect.shops.reading import ShopRead
from satchel.collect.tables import CandidateRow, ShopPageRow
from satchel.errors import UsageError
from satchel.records import Product
from satchel.workflows.photo_search import read_shop_pages
from satchel.workspace import Workspace
from support.cli import satchel
from support.photo_site import PhotoSite, photo_site

QUICK = Patience(attempts=2, first_wait_s=0.01, blocks=3)
PRODUCTS = (Product("S22675", brand="Dior", name="Saddle Bag"), Product("M-77"))


@pytest.fixture
def site() -> Iterator[PhotoSite]:
    with photo_site() as running:
        yield running


def shop(site: PhotoSite, pages: Mapping[str, Any], **more: str) -> None:
    """Make the site a shop: path → JSON-LD of its page, or HTML."""
    for path, value in pages.items():
        markup = f'<script type="application/ld+json">{json.dumps(value)}</script>'
        text = value if isinstance(value, str) else f"<html><title>Bag</title>{markup}"
        site.pages[path] = (text.encode(), "text/html; charset=utf-8")
    urls = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in pages)
    site.pages["/products.xml.gz"] = (
        gzip.compress(f"<urlset>{urls}<url><loc>https://other.test/</loc></url></urlset>".encode()),
        "application/gzip",
    )
    index = f"<sitemapindex><sitemap><loc>{site.url}/products.xml.gz</loc></sitemap>"
    site.pages["/map.xml"] = (f"{index}</sitemapindex>".encode(), "application/xml")
    site.robots = f"User-agent: *\nDisallow: /private/\nSitemap: {site.url}/map.xml\n"


def product(code: str, *photos: str) -> dict[str, Any]:
    return {"@type": "Product", "sku": code, "name": f"Bag {code}", "image": list(photos)}


def set_up(workspace: Workspace) -> Workspace:
    text = '[collect]\ncontact = "crawl@example.com"\ndelay_s = 0\nmin_free_mb = 0\n'
    text += '[fetch]\nnetworks = ["127.0.0.1"]\n'
    (workspace.folder / "satchel.toml").write_text(text)
    return Workspace.open(workspace.folder)


def read(workspace: Workspace, site: PhotoSite, **options: Any) -> ShopRead:
    return read_shop_pages(workspace, site.url, PRODUCTS, patience=QUICK, **options)[0]


def candidates(workspace: Workspace) -> dict[str, tuple[str, str | None]]:
    chosen = select(CandidateRow.url, CandidateRow.code, CandidateRow.page)
    with workspace.catalogue.engine.connect() as connection:
        return {row.url: (row.code, row.page) for row in connection.execute(chosen)}


def page_states(workspace: Workspace) -> dict[str, tuple[str, str | None]]:
    chosen = select(ShopPageRow.url, ShopPageRow.state, ShopPageRow.reason)
    with workspace.catalogue.engine.connect() as connection:
        rows = connection.execute(chosen).all()
    return {row.url.rpartition("/")[2]: (row.state, row.reason) for row in rows}


def test_photos_of_wanted_products_become_candidates(workspace: Workspace, site: PhotoSite) -> None:
    workspace = set_up(workspace)
    named = {**product("X-1", "/photos/name.jpg"), "name": "Saddle Bag black", "brand": "디올"}
    shop(
        site,
        {
            "/p/1": product("S-22675", "/photos/a.jpg", "/photos/b.jpg"),
            "/p/2": product("other", "/photos/c.jpg"),
            "/p/3": named,
            "/p/4": '<form class="g-recaptcha">Write a review</form>',
            "/p/5": f'<meta name="robots" content="noai">{json.dumps(product("M-77"))}',
            "/private/6": product("M-77", "/photos/d.jpg"),
            "/gone/7": "<p>",
        },
    )
    del site.pages["/gone/7"]
    done = read(workspace, site)
    assert candidates(workspace) == {
        f"{site.url}/photos/{name}.jpg": ("S22675", f"{site.url}/p/{number}")
        for name, number in (("a", 1), ("b", 1), ("name", 3))
    }
    assert (done.pages, done.refused, done.failed) == (4, 2, 1)
    assert (done.products, done.matched, done.found, done.new) == (3, 2, 3, 3)
    assert (done.stopped, done.waiting, done.unknown) == ("", 0, ["other"])
    states = page_states(workspace)
    assert "robots.txt" in str(states["6"][1])
    assert "noai" in str(states["5"][1])
    assert states["7"][0] == "failed"
    assert site.requests["/private/6"] == 0
    assert site.cookies == 0


def test_a_sitemap_that_search_results_leave_out_is_read(
    workspace: Workspace, site: PhotoSite
) -> None:
    workspace = set_up(workspace)
    shop(
        site, {"/p/1": product("S22675", "/photos/a.jpg"), "/p/2": product("M-77", "/photos/b.jpg")}
    )
    for path in ("/map.xml", "/products.xml.gz", "/p/2"):
        site.headers[path] = {"X-Robots-Tag": "noindex"}
    done = read(workspace, site)
    assert (done.pages, done.refused, done.stopped) == (1, 1, "")
    assert "noindex" in str(page_states(workspace)["2"][1])
    site.headers["/map.xml"] = {"X-Robots-Tag": "noindex, noai"}
    assert "noai" in read(workspace, site).stopped


def test_a_run_goes_on_where_the_last_one_ended(workspace: Workspace, site: PhotoSite) -> None:
    workspace = set_up(workspace)
    shop(site, {f"/p/{n}": product("M-77", f"/photos/{n}.jpg") for n in range(6)})
    assert read(workspace, site, most_pages=2).waiting == 4
    assert read(workspace, site).pages == 4
    assert read(workspace, site).pages == 0
    assert {site.requests[f"/p/{n}"] for n in range(6)} == {1}
    assert len(candidates(workspace)) == 6
    assert read(workspace, site, again=True).pages == 6


def test_a_shop_that_blocks_is_left(workspace: Workspace, site: PhotoSite) -> None:
    workspace = set_up(workspace)
    shop(site, {f"/forbidden/{n}": "<p>" for n in range(9)})
    for n in range(9):
        del site.pages[f"/forbidden/{n}"]
    done = read(workspace, site)
    assert "3 answers in a row" in done.stopped
    assert {state for state, _ in page_states(workspace).values()} == {"waiting"}


def test_what_finds_nothing_is_an_error_that_says_why(
    workspace: Workspace, site: PhotoSite
) -> None:
    workspace = set_up(workspace)
    assert "name no pages" in read(workspace, site).stopped
    shop(site, {"/p/1": "<p>A shop without mark-up"})
    assert "has a product in its mark-up" in read(workspace, site).stopped
    shop(site, {"/p/2": product("ZZ-999", "/photos/a.jpg")})
    assert "such as ZZ-999" in read(workspace, site).stopped
    with pytest.raises(UsageError, match="expected an address"):
        read_shop_pages(workspace, "ftp://shop.test", PRODUCTS)


@pytest.mark.flow
def test_the_command_reads_a_shop_and_fetches_its_photos(
    workspace: Workspace, site: PhotoSite
) -> None:
    folder = set_up(workspace).folder
    shop(site, {"/p/1": product("S22675", "/photos/a.jpg")})
    codes = folder / "codes.txt"
    codes.write_text("S22675\n")
    done = satchel(folder, "collect", "--shop", site.url, "--codes", str(codes), "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["shops"][0]["matched"] == 1
    assert [(one["code"], one["new"]) for one in shown["sources"]] == [("S22675", 1)]
