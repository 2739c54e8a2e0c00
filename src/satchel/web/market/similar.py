"""Goods on sale that look like a photo, or like another good: on pages and in the API.

Products are ranked as identification ranks them, among those of which something is on sale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from satchel.errors import IndexMissing, UsageError
from satchel.market.desk.seen import source_of
from satchel.market.listings.records import Listing
from satchel.search.ranking import RankedProduct
from satchel.web.access import EVERYBODY
from satchel.web.api.openapi import curl, problems
from satchel.web.market.api_sale import Id, public
from satchel.web.market.sale_schemas import Good
from satchel.web.market.state import Market, MarketState
from satchel.web.middleware.departures import is_gone
from satchel.web.pages.rendering import pages_of
from satchel.web.state import Server, ServerState
from satchel.web.threads import patient
from satchel.web.uploads import received

PRODUCTS: Final = 24
"""Products of which goods are shown, at most."""

OF_PRODUCT: Final = 4
"""Goods of one product, at most."""

PHOTOS: Final = 8
"""Stored photos that stand for a good, at most."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Similar:
    """A good on sale, and how similar its product is: a cosine in [-1, 1]."""

    listing: Listing
    similarity: float


class SimilarGood(Good):
    """A good on sale, and how similar it is."""

    similarity: float = Field(description="Of its product, in [-1, 1]; 1 is the same photo.")


class SimilarGoods(BaseModel):
    """Goods on sale, the most similar first."""

    goods: list[SimilarGood]

    @classmethod
    def of(cls, found: Sequence[Similar]) -> SimilarGoods:
        """Convert goods."""
        goods = [
            SimilarGood(**Good.of(one.listing).model_dump(), similarity=round(one.similarity, 4))
            for one in found
        ]
        return cls(goods=goods)


@router.get(
    "/goods/similar",
    include_in_schema=False,
    response_class=HTMLResponse,
    dependencies=[EVERYBODY],
)
def ask_for_photo(request: Request, server: Server) -> Response:
    """Ask for a photo."""
    return _page(request, server, None)


@router.post(
    "/goods/similar",
    include_in_schema=False,
    response_class=HTMLResponse,
    dependencies=[EVERYBODY],
)
@patient
def show_like_photo(
    request: Request, server: Server, market: Market, photo: Annotated[UploadFile, File()]
) -> Response:
    """Show the goods on sale that are most like a photo."""
    return _page(request, server, _like_upload(request, server, market, photo))


@router.post(
    "/api/v1/goods/similar",
    tags=["goods"],
    dependencies=[EVERYBODY],
    responses=problems(400, 413, 415, 422, 429, 503),
    openapi_extra=curl("curl -F photo=@front.jpg '{base}/api/v1/goods/similar'"),
)
@patient
def goods_like_photo(
    request: Request,
    server: Server,
    market: Market,
    photo: Annotated[UploadFile, File(description="A photo of what you look for.")],
) -> SimilarGoods:
    """Give the goods on sale that are most like a photo; it is not stored.

    Counts as an identification where these are limited.
    """
    return SimilarGoods.of(_like_upload(request, server, market, photo))


@router.get(
    "/api/v1/goods/{good}/similar",
    tags=["goods"],
    dependencies=[EVERYBODY],
    responses=problems(404, 503),
)
def goods_like_good(server: Server, market: Market, good: Id) -> SimilarGoods:
    """Give other goods on sale that are most like a good."""
    return SimilarGoods.of(like_good(server, market, public(market, good)))


def like_good(
    server: ServerState, market: MarketState, listing: Listing, *, most: int = PRODUCTS
) -> list[Similar]:
    """Return other goods on sale, the most similar first, by stored embeddings.

    A good is represented by its own photos where the catalogue has them, else by its product's.

    Args:
        most: goods, at most.

    Raises:
        IndexMissing: there is nothing to search.
    """
    assert listing.code is not None
    catalogue = server.workspace.catalogue
    known = catalogue.photos_of(listing.code) if catalogue.has_product(listing.code) else []
    own = [one.sha256 for one in known if one.source == source_of(listing)]
    photos = own or [one.sha256 for one in known if one.state in ("kept", "doubtful")]
    products = market.goods.shelf.products()
    ids = np.array(list(products), np.int64)
    ranked = server.similar_to_stored(photos[:PHOTOS], ids, top=most + 1)
    found = _goods_of(market, ranked, products)
    return [one for one in found if one.listing.public_id != listing.public_id][:most]


def _like_upload(
    request: Request, server: ServerState, market: MarketState, photo: UploadFile
) -> list[Similar]:
    photos = received([photo])
    if not photos:
        raise UsageError("expected a photo, got an empty field; choose one")
    products = market.goods.shelf.products()
    ids = np.array(list(products), np.int64)
    try:
        ranked = server.similar(photos[0], ids, top=PRODUCTS, gone=is_gone(request))
    except IndexMissing:
        if products:
            raise
        ranked = []  # a shop without goods has nothing alike
    return _goods_of(market, ranked, products)


def _goods_of(
    market: MarketState, ranked: Sequence[RankedProduct], codes: Mapping[int, str]
) -> list[Similar]:
    scores = {codes[one.product]: one.score for one in ranked}
    found = market.goods.shelf.of_codes(list(scores), each=OF_PRODUCT)
    return [Similar(one, scores[one.code or ""]) for one in found]


def _page(request: Request, server: ServerState, found: Sequence[Similar] | None) -> Response:
    """Show the form, and what was found; None before."""
    goods = [one.listing for one in found or ()]
    return pages_of(request).render(
        request,
        "market/similar.html",
        searched=found is not None,
        goods=goods,
        products=server.products_of([one.code or "" for one in goods]),
        upload_side_px=server.workspace.settings.serve.upload_side_px,
    )
