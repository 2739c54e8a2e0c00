"""`/api/v1/searches`: saved searches of the goods on sale, about which e-mails are sent."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from satchel.market.roles import Role, Scope
from satchel.market.sale import searches
from satchel.market.sale.searches import MAX_NAME_CHARS, MOST_ID, address_of
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.market.api_listings import KEY, actor_of
from satchel.web.market.api_sale import SearchedFor
from satchel.web.market.schemas import Body, Time
from satchel.web.market.state import Market
from satchel.web.visitors import Visitor, Who

READ: Final = allow(Role.SELLER, scope=Scope.ACCOUNT_READ)
WRITE: Final = allow(Role.SELLER, scope=Scope.MARKET_WRITE)

Number = Annotated[int, Path(ge=0, le=MOST_ID, description="The saved search.")]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]

router = APIRouter(prefix="/api/v1/searches", tags=["goods"])


class NewSearch(Body):
    """How a search is to be called."""

    name: Annotated[Name, Field(description="Default: what is looked for.")] = ""


class SearchChange(Body):
    """What to change of a saved search; what is left out stays."""

    name: Name | None = None
    mails: bool | None = Field(None, description="Whether e-mails are sent.")


class SavedSearch(BaseModel):
    """A saved search."""

    id: int
    name: str
    page: str = Field(description="Address of the page that shows what it finds now.")
    mails: bool = Field(description="Whether e-mails are sent about new goods.")
    mailed_at: Time | None = Field(description="When the last e-mail was sent.")
    created_at: Time

    @classmethod
    def of(cls, search: searches.SavedSearch) -> SavedSearch:
        """Convert a saved search."""
        return cls(
            id=search.id,
            name=search.name,
            page=address_of(search.wanted),
            mails=search.mails,
            mailed_at=search.mailed_at,
            created_at=search.created_at,
        )


class SavedSearches(BaseModel):
    """Your saved searches, the last saved first."""

    searches: list[SavedSearch]


@router.get("", dependencies=[READ], responses=problems(401, 403))
def saved_searches(market: Market, who: Who) -> SavedSearches:
    """List your saved searches."""
    found = market.searches.of(_account(who))
    return SavedSearches(searches=[SavedSearch.of(one) for one in found])


@router.post(
    "",
    status_code=201,
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 422),
    openapi_extra=curl(
        f"{KEY} -H 'Content-Type: application/json' -d '{{\"name\": \"Lady\"}}' "
        "'{base}/api/v1/searches?q=lady&brand=Dior&to_krw=2000000'"
    ),
)
def save_search(market: Market, who: Who, wanted: SearchedFor, new: NewSearch) -> SavedSearch:
    """Save a search, by the parameters of `/api/v1/goods`.

    You get an e-mail about goods that come on sale from now on, one an hour at most.
    """
    return SavedSearch.of(market.searches.save(_account(who), wanted, new.name))


@router.patch("/{search}", dependencies=[WRITE], responses=problems(400, 401, 403, 404, 422))
def change_search(market: Market, who: Who, search: Number, change: SearchChange) -> SavedSearch:
    """Rename a saved search, or switch its e-mails on or off."""
    account = _account(who)
    found = market.searches.get(account, search)
    if change.name is not None:
        found = market.searches.rename(account, search, change.name)
    if change.mails is not None:
        found = market.searches.set_mails(account, search, on=change.mails)
    return SavedSearch.of(found)


@router.delete(
    "/{search}", status_code=204, dependencies=[WRITE], responses=problems(401, 403, 404)
)
def delete_search(market: Market, who: Who, search: Number) -> Response:
    """Delete a saved search."""
    market.searches.remove(_account(who), search)
    return Response(status_code=204)


def _account(who: Visitor) -> int:
    account = actor_of(who).account
    assert account is not None
    return account
