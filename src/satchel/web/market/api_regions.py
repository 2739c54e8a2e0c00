"""`/api/v1/desk/LISTING/regions`: what a photo of a listing and one of the catalogue both show."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from satchel.market.listings.photos import photo_of
from satchel.web.api.openapi import curl, problems
from satchel.web.market.api_desk import READ
from satchel.web.market.api_listings import KEY, Id
from satchel.web.market.state import Market
from satchel.web.threads import patient

Sha256 = Annotated[str, Query(pattern="^[0-9a-f]{64}$")]
Corners = Annotated[
    tuple[float, float, float, float], Field(description="x0, y0, x1, y1, in [0, 1].")
]

router = APIRouter()


class Region(BaseModel):
    """A detail that both photos show."""

    own: Corners
    reference: Corners
    pairs: int = Field(description="Local features that were paired in it.")


class MatchingRegions(BaseModel):
    """Details that both photos show, the best first; none is no evidence against a product."""

    regions: list[Region]


@router.get(
    "/api/v1/desk/{listing}/regions",
    tags=["desk"],
    dependencies=[READ],
    responses=problems(401, 403, 404, 422),
    openapi_extra=curl(f"{KEY} '{{base}}/api/v1/desk/ID/regions?photo=SHA256&reference=SHA256'"),
)
@patient
def matching(
    *,
    market: Market,
    response: Response,
    listing: Id,
    photo: Annotated[Sha256, Query(description="SHA-256 of a photo of the listing.")],
    reference: Annotated[Sha256, Query(description="SHA-256 of a photo of the catalogue.")],
) -> MatchingRegions:
    """Give the regions that a photo of a listing and one of the catalogue have in common.

    They are found by local features that fit together geometrically, when they are first wanted.
    """
    photo_of(market.goods.listings.get(listing), photo)
    found = [
        Region(own=one.own.xyxy, reference=one.reference.xyxy, pairs=one.pairs)
        for one in market.regions.of(photo, reference)
    ]
    response.headers["Cache-Control"] = "private, max-age=86400"  # photos never change
    return MatchingRegions(regions=found)
