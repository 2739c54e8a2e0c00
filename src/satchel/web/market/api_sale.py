"""`/api/v1/goods`: what is on sale, for everybody; reservations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BeforeValidator, Field
from starlette.concurrency import run_in_threadpool

from satchel.errors import UnknownListing
from satchel.market.listings.fields import Grade
from satchel.market.listings.photos import photo_of
from satchel.market.listings.records import Listing as Stored
from satchel.market.listings.states import PUBLIC
from satchel.market.roles import Role, Scope
from satchel.market.sale.shelf import Order, Wanted
from satchel.schemas import Facet
from satchel.web.access import EVERYBODY, allow
from satchel.web.api.openapi import curl, problems
from satchel.web.api.photos import JPEG
from satchel.web.market.api_listings import (
    KEY,
    PageNumber,
    Sha,
    SmallSide,
    actor_of,
    jpeg_of,
)
from satchel.web.market.listing_schemas import Listing
from satchel.web.market.sale_schemas import Good, Goods, PriceHint, Reservation, Reservations
from satchel.web.market.state import Market, MarketState
from satchel.web.threads import patiently
from satchel.web.visitors import Who

WRITE: Final = allow(Role.SELLER, scope=Scope.MARKET_WRITE)
MAX_VALUES: Final = 20
MAX_FACET: Final = 100
"""Values given of an attribute, at most."""

Id = Annotated[str, Path(max_length=32, description="The good.")]
Value = Annotated[str, Query(max_length=200)]
Values = Annotated[Sequence[Value], Query(max_length=MAX_VALUES)]
Price = Annotated[
    Annotated[int, Field(ge=0, lt=2**53)] | None,
    BeforeValidator(lambda given: given or None),  # a form without script sends empty fields
    Query(description="In won."),
]


async def searched_for(
    *,
    q: Annotated[str, Query(max_length=200, description="Words, all of which must fit.")] = "",
    brand: Values = (),
    category: Values = (),
    grade: Annotated[Sequence[Grade], Query(max_length=MAX_VALUES)] = (),
    colour: Values = (),
    code: Values = (),
    from_krw: Price = None,
    to_krw: Price = None,
    sold: bool = False,
) -> Wanted:
    """Read what a request looks for, on the page and in the API alike."""
    return Wanted(
        text=q,
        brand=tuple(brand),
        category=tuple(category),
        grade=tuple(one.value for one in grade),
        colour=tuple(colour),
        from_krw=from_krw,
        to_krw=to_krw,
        codes=tuple(code),
        sold=sold,
    )


SearchedFor = Annotated[Wanted, Depends(searched_for)]
"""Dependency type: what the request looks for."""

router = APIRouter(tags=["goods"])
goods = APIRouter(prefix="/api/v1/goods")


@goods.get(
    "",
    dependencies=[EVERYBODY],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/goods?q=디올&grade=S&to_krw=2000000&sort=cheapest'"),
)
def find_goods(
    market: Market, wanted: SearchedFor, sort: Order = Order.NEWEST, page: PageNumber = 1
) -> Goods:
    """Search the goods on sale. Values of one attribute are alternatives."""
    found = market.goods.shelf.find(wanted, order=sort, page=page)
    return Goods.of(found, [Facet.of(one, MAX_FACET) for one in market.goods.shelf.facets(wanted)])


@goods.get("/{good}", dependencies=[EVERYBODY], responses=problems(404))
def get_good(market: Market, good: Id) -> Good:
    """Give a certified good that is on sale, reserved or sold."""
    return Good.of(public(market, good))


@goods.get(
    "/{good}/photos/{sha}",
    dependencies=[EVERYBODY],
    response_class=Response,
    responses={**JPEG, **problems(400, 404)},
)
async def good_photo(market: Market, good: Id, sha: Sha, side: SmallSide = None) -> Response:
    """Give a photo of a good; people on it are blurred."""

    def photo() -> Response:
        photo_of(public(market, good), sha)
        return jpeg_of(market, sha, public=True, side=side)

    kept = market.public_photos.keeps(sha, side)
    return await (run_in_threadpool(photo) if kept else patiently(photo))


@goods.post(
    "/{good}/reserve",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409),
    openapi_extra=curl(f"{KEY} -X POST '{{base}}/api/v1/goods/ID/reserve'"),
)
def reserve(market: Market, who: Who, good: Id) -> Good:
    """Reserve a good for a day; of several buyers the first one gets it."""
    return Good.of(market.goods.reservations.reserve(good, actor_of(who)))


@goods.post("/{good}/cancel", dependencies=[WRITE], responses=problems(401, 403, 404, 409))
def cancel(market: Market, who: Who, good: Id) -> Good:
    """Cancel a reservation, as its buyer or as the seller."""
    return Good.of(market.goods.reservations.cancel(good, actor_of(who)))


@goods.post("/{good}/sell", dependencies=[WRITE], responses=problems(401, 403, 404, 409))
def sell(market: Market, who: Who, good: Id) -> Listing:
    """Say, as the seller, that the good was sold to the buyer who reserved it."""
    actor = actor_of(who)
    return Listing.of(market.goods.reservations.sell(good, actor), actor)


@router.get("/api/v1/prices", dependencies=[EVERYBODY], responses=problems(404, 422))
def price_hint(
    market: Market, code: Annotated[str, Query(max_length=200, description="A product's.")]
) -> PriceHint:
    """Give what goods of a product were sold for here, once three were."""
    found = market.goods.shelf.price_hint(code)
    if found is None:
        raise UnknownListing(f"fewer than three goods of {code!r} were sold here")
    return PriceHint.model_validate(found)


@router.get(
    "/api/v1/reservations",
    dependencies=[allow(Role.SELLER, scope=Scope.ACCOUNT_READ)],
    responses=problems(401, 403),
)
def reservations(market: Market, who: Who) -> Reservations:
    """Give your reservations."""
    account = actor_of(who).account
    assert account is not None
    found = market.goods.reservations.of_buyer(account)
    return Reservations(
        reservations=[Reservation(good=one.listing, expires_at=one.expires_at) for one in found]
    )


router.include_router(goods)


def public(market: MarketState, public_id: str) -> Stored:
    """Return a listing that everybody may see.

    Raises:
        UnknownListing: there is none, or nobody but its seller and the experts may see it.
    """
    found = market.goods.listings.get(public_id)
    if found.state not in PUBLIC:
        raise UnknownListing(f"no good {public_id!r} is on sale; it may have been withdrawn")
    return found
