"""`/listings/ID/readings`: codes that were read on a listing's photos, each to be chosen.

They are read, not seen: the page shows them next to what the photos look like, and never as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.tables import now
from satchel.extras import missing_module
from satchel.market.listings.readings import PhotoReading
from satchel.market.listings.records import Listing
from satchel.market.roles import Role
from satchel.reading.records import ReadCode
from satchel.records import Product
from satchel.web.access import allow
from satchel.web.market.api_listings import visible
from satchel.web.market.state import Market, MarketState
from satchel.web.pages.rendering import pages_of
from satchel.web.state import Server, ServerState
from satchel.web.visitors import Who

MOST_CODES: Final = 5
ASKED_FOR: Final = timedelta(minutes=10)
"""How long a page asks whether a photo was read; then no worker runs, or it is gone."""

router = APIRouter(
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[allow(Role.SELLER)],
)


@dataclass(frozen=True, slots=True)
class FoundCode:
    """A code that was read on one of the photos.

    Attributes:
        cover: SHA-256 of the product's first photo.
        photo: number of the photo that it was read on best, 1 for the first.
    """

    product: Product
    cover: str | None
    photo: int
    best: ReadCode


@dataclass(frozen=True, slots=True)
class Found:
    """What was read on the photos of a listing.

    Attributes:
        possible: whether photos are read here: the extra is installed.
        waiting: photos that will be read.
        read: photos that were read.
        faulty: numbers of the photos that cannot be read.
        tag: of the photos in their order, and of which of them were read or wait.
    """

    possible: bool
    waiting: int
    read: int
    faulty: tuple[int, ...]
    tag: str
    codes: tuple[FoundCode, ...]


@router.get("/listings/{listing}/readings")
def show_readings(
    *,
    request: Request,
    server: Server,
    market: Market,
    who: Who,
    listing: str,
    seen: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Show the codes anew, unless the page has seen them."""
    shown = visible(market, who, listing)
    found = found_codes(server, market, shown)
    if seen == found.tag:
        return Response(status_code=204)
    return pages_of(request).render(request, "market/_readings.html", listing=shown, readings=found)


def found_codes(server: ServerState, market: MarketState, listing: Listing) -> Found:
    """Find codes of the catalogue in what was read on the photos, the best match first."""
    read = market.readings.of(listing)
    best: dict[str, tuple[int, ReadCode]] = {}
    for number, one in enumerate(read, start=1):
        for code in market.codes.match(one.texts or ()):
            if code.code not in best or code.cost < best[code.code][1].cost:
                best[code.code] = number, code
    order = sorted(best, key=lambda code: best[code][1].cost)[:MOST_CODES]
    possible = missing_module("ocr") is None
    return Found(
        possible,
        waiting=sum(_waits(one) for one in read) if possible else 0,
        read=sum(one.texts is not None for one in read),
        faulty=tuple(number for number, one in enumerate(read, start=1) if one.fault),
        tag=_tag(read, possible=possible),
        codes=tuple(
            FoundCode(product, cover, *best[product.code])
            for product, cover in server.workspace.catalogue.with_covers(order)
        ),
    )


def _tag(read: Sequence[PhotoReading], *, possible: bool) -> str:
    states = (f"{one.sha256}:{one.texts is None}:{possible and _waits(one)}" for one in read)
    return sha256(" ".join(states).encode()).hexdigest()[:16]


def _waits(one: PhotoReading) -> bool:
    return one.texts is None and now() - one.added_at < ASKED_FOR
