"""`/figures` and `/api/v1/figures`: how often identification was right, by experts' decisions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.market.learning.proposal import open_proposal
from satchel.market.learning.weekly import figures
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.market.api_listings import KEY
from satchel.web.market.state import Market
from satchel.web.pages.rendering import pages_of
from satchel.web.threads import patient

ADMIN: Final = allow(Role.ADMIN, scope=Scope.ADMIN)
Weeks = Annotated[int, Query(ge=1, le=520, description="How many weeks back.")]


class Week(BaseModel):
    """Decisions of one week."""

    monday: date = Field(description="Its first day, UTC.")
    certified: int
    rejected: int
    compared: int = Field(description="Certified goods of which identification had said something.")
    first: int = Field(description="Of these, how often its first candidate was certified.")
    in_five: int = Field(description="Of these, how often one of its first five was.")
    verdicts: int = Field(description="Of these, how often its verdict was true.")
    corrected: int = Field(description="Certified as another product than the seller chose.")
    seconds: float | None = Field(description="Median of an expert's time.")
    hours: float | None = Field(description="Median from submission to decision.")


class Missed(BaseModel):
    """A product that identification did not put first."""

    code: str
    times: int
    of: int = Field(description="How often it was certified.")
    instead: str | None = Field(description="What was first most often.")


class Wanting(BaseModel):
    """A product that the catalogue does not have, by sellers' proposals."""

    brand: str
    name: str
    times: int


class Proposed(BaseModel):
    """An adapted encoder that a person may promote."""

    run: str
    made_at: datetime = Field(description="UTC.")
    photos: int = Field(description="Of certified goods that took part.")
    start: dict[str, float] = Field(description="Figures of validation of the served encoder.")
    adapted: dict[str, float] = Field(description="The same of the adapted one.")
    command: str = Field(description="That serves it.")


class Figures(BaseModel):
    """What decisions say of identification."""

    weeks: list[Week] = Field(description="The last one first.")
    missed: list[Missed]
    missing: list[Wanting]
    proposed: Proposed | None


router = APIRouter()


@router.get(
    "/api/v1/figures",
    tags=["desk"],
    dependencies=[ADMIN],
    responses=problems(401, 403, 422),
    openapi_extra=curl(f"{KEY} '{{base}}/api/v1/figures?weeks=4'"),
)
@patient
def weekly_figures(market: Market, weeks: Weeks = 12) -> Figures:
    """Count how often identification was right, week by week, by what experts decided."""
    proposed = open_proposal(market.models)
    known = asdict(figures(market.engine, weeks=weeks))
    return Figures.model_validate(
        known | {"proposed": proposed and Proposed.model_validate(proposed, from_attributes=True)}
    )


@router.get(
    "/figures",
    include_in_schema=False,
    response_class=HTMLResponse,
    dependencies=[allow(Role.ADMIN)],
)
@patient
def show_figures(request: Request, market: Market) -> Response:
    """Show the figures."""
    return pages_of(request).render(
        request,
        "market/figures.html",
        figures=figures(market.engine),
        proposed=open_proposal(market.models),
    )
