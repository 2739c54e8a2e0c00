"""`/goods`: certified goods on sale, as everybody sees them; `/sitemap.xml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement, tostring

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import IndexMissing
from satchel.market.listings.fields import Grade
from satchel.market.listings.records import Listing
from satchel.market.privacy.public_photos import PREVIEW_WH
from satchel.market.roles import Role
from satchel.market.sale.searches import address_of
from satchel.market.sale.shelf import PAGE, Order, Wanted
from satchel.records import Product
from satchel.web.access import EVERYBODY, allow
from satchel.web.market.api_listings import PageNumber, actor_of
from satchel.web.market.api_sale import SearchedFor, public
from satchel.web.market.similar import like_good
from satchel.web.market.state import Market, MarketState
from satchel.web.pages.rendering import pages_of
from satchel.web.state import Server, ServerState
from satchel.web.threads import patient
from satchel.web.visitors import Who

BUYER: Final = allow(Role.SELLER)
SHOWN_VALUES: Final = 12
"""Values of an attribute that can be ticked; more are found by searching."""
ALIKE: Final = 6
PREVIEW_S: Final = 86_400
SITEMAP_GOODS: Final = 50_000
"""What one sitemap may hold (sitemaps.org)."""

CONDITIONS: Final[Mapping[Grade, str]] = {Grade.N: "NewCondition"}
AVAILABILITY: Final = {"on_sale": "InStock", "reserved": "LimitedAvailability", "sold": "SoldOut"}

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/goods", dependencies=[EVERYBODY])
def goods(
    *,
    request: Request,
    server: Server,
    market: Market,
    wanted: SearchedFor,
    sort: Order = Order.NEWEST,
    page: PageNumber = 1,
) -> Response:
    """Show what is on sale."""
    found = market.goods.shelf.find(wanted, order=sort, page=page)
    return pages_of(request).render(
        request,
        "market/goods.html",
        goods=found.listings,
        total=found.total,
        products=server.products_of([one.code or "" for one in found.listings]),
        facets=[one for one in market.goods.shelf.facets(wanted) if one.values],
        chosen={name: set(getattr(wanted, name)) for name in ("brand", "category", "colour")}
        | {"grade": set(wanted.grade)},
        wanted=wanted,
        sort=sort,
        orders=list(Order),
        shown_values=SHOWN_VALUES,
        search=address_of(wanted).removeprefix("/goods").removeprefix("?")
        if not wanted.sold
        else "",
        upload_side_px=server.workspace.settings.serve.upload_side_px,
        page=page,
        pages=-(-found.total // PAGE),
        link=lambda number: f"/goods?{urlencode(_query(request, page=number))}",
    )


@router.get("/goods/{good}", dependencies=[EVERYBODY])
def good(request: Request, server: Server, market: Market, who: Who, good: str) -> Response:
    """Show a good, and others of its product or brand."""
    listing = public(market, good)
    assert listing.code is not None
    product = server.products_of([listing.code]).get(listing.code)
    reservation = market.goods.reservations.of_listing(listing)
    alike = _alike(server, market, listing, product)
    account = who.account.id if who.account else None
    return pages_of(request).render(
        request,
        "market/good.html",
        good=listing,
        product=product,
        certificate=market.goods.decisions.certificate_of(listing),
        own=account == listing.seller,
        mine=reservation is not None and reservation.buyer == account,
        reservation=reservation,
        alike=alike,
        products=server.products_of([one.code or "" for one in alike]),
        facts=_json_ld(listing, product, market.settings.url),
        address=f"{market.settings.url}/goods/{listing.public_id}",
        picture=f"{market.settings.url}/goods/{listing.public_id}/preview.jpg",
        picture_wh=PREVIEW_WH,
    )


@router.get("/goods/{good}/preview.jpg", dependencies=[EVERYBODY], response_class=Response)
@patient
def preview(market: Market, good: str) -> Response:
    """Give the picture that messengers and social networks show with a link to a good."""
    picture = market.public_photos.preview(public(market, good).photos[0].sha256)
    headers = {"Cache-Control": f"public, max-age={PREVIEW_S}"}  # another photo may be first then
    return Response(picture, media_type="image/jpeg", headers=headers)


@router.post("/goods/{good}/reserve", dependencies=[BUYER])
def reserve(market: Market, who: Who, good: str) -> Response:
    """Reserve a good for a day."""
    market.goods.reservations.reserve(good, actor_of(who))
    return RedirectResponse(f"/goods/{good}", 303)


@router.post("/goods/{good}/cancel", dependencies=[BUYER])
def cancel(market: Market, who: Who, good: str) -> Response:
    """Cancel a reservation."""
    market.goods.reservations.cancel(good, actor_of(who))
    return RedirectResponse(f"/goods/{good}", 303)


@router.get("/sitemap.xml", dependencies=[EVERYBODY])
@patient
def sitemap(market: Market) -> Response:
    """List the pages of all goods on sale, for search engines (sitemaps.org 0.9)."""
    root = Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
    SubElement(SubElement(root, "url"), "loc").text = f"{market.settings.url}/goods"
    for public_id, changed in market.goods.shelf.addresses(SITEMAP_GOODS):
        entry = SubElement(root, "url")
        SubElement(entry, "loc").text = f"{market.settings.url}/goods/{public_id}"
        SubElement(entry, "lastmod").text = changed.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Response(tostring(root, "utf-8", xml_declaration=True), media_type="application/xml")


def photo_address(listing: Listing, place: int = 0) -> str:
    """Address of a photo of a good, as everybody sees it."""
    return f"/api/v1/goods/{listing.public_id}/photos/{listing.photos[place].sha256}"


def _alike(
    server: ServerState, market: MarketState, listing: Listing, product: Product | None
) -> list[Listing]:
    """Other goods: what looks most like it, then of its brand and category, then of its brand."""
    found: dict[str, Listing] = {}
    with suppress(IndexMissing):
        near = like_good(server, market, listing, most=ALIKE)
        found = {one.listing.public_id: one.listing for one in near}
    wanted: list[Wanted] = []
    if product is not None and product.brand:
        kind = (product.category,) if product.category else ()
        wanted = [Wanted(brand=(product.brand,), category=kind), Wanted(brand=(product.brand,))]
    for one in wanted:
        if len(found) < ALIKE:
            most = ALIKE + 1 + len(found)  # it may be among them, and so may those found already
            more = market.goods.shelf.newest(one, most)
            found |= {good.public_id: good for good in more if good.public_id != listing.public_id}
    return list(found.values())[:ALIKE]


def _json_ld(listing: Listing, product: Product | None, url: str) -> Markup:
    """Return a schema.org Product, for search engines; safe inside a script element."""
    grade = CONDITIONS.get(listing.grade or Grade.B, "UsedCondition")
    facts: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": " ".join(filter(None, (product.brand, product.name))) if product else listing.code,
        "sku": listing.public_id,
        "mpn": listing.code,
        "description": listing.text,
        "itemCondition": f"https://schema.org/{grade}",
        "image": [f"{url}{photo_address(listing, at)}" for at in range(len(listing.photos))],
        "offers": {
            "@type": "Offer",
            "price": listing.price_krw,
            "priceCurrency": "KRW",
            "availability": f"https://schema.org/{AVAILABILITY[listing.state.value]}",
            "url": f"{url}/goods/{listing.public_id}",
        },
    }
    if product and product.brand:
        facts["brand"] = {"@type": "Brand", "name": product.brand}
    if product and product.colour:
        facts["color"] = product.colour
    text = json.dumps(facts, ensure_ascii=False)
    for char in "<>&":  # "</script>" in a seller's text ends nothing
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _query(request: Request, **changed: Any) -> list[tuple[str, str]]:
    kept = [pair for pair in request.query_params.multi_items() if pair[0] not in changed]
    return [*kept, *((name, str(value)) for name, value in changed.items())]
