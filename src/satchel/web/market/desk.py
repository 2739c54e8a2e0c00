"""`/desk`: the expert's queue, and one case at a time, decided with a few keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.tables import now
from satchel.errors import CatalogueError, Forbidden, StateConflict, UnknownListing, UsageError
from satchel.market.desk.decisions import MAX_SECONDS, MAX_TEXT_CHARS
from satchel.market.desk.queue import PAGE, Filters, require_claim
from satchel.market.desk.records import MAX_ASKED, MAX_ASKED_CHARS, Reason
from satchel.market.listings.fields import MAX_PRICE_KRW, Grade
from satchel.market.listings.records import Listing
from satchel.market.listings.states import Actor, State, StepName
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.market.api_listings import Id, actor_of
from satchel.web.market.desk_case import case_values, names_of
from satchel.web.market.state import Market, MarketState
from satchel.web.pages.rendering import pages_of
from satchel.web.pages.review import suggested_codes
from satchel.web.state import Server, ServerState
from satchel.web.threads import patient
from satchel.web.visitors import Who

PATH: Final = "/desk"
MAX_CODE_CHARS: Final = 200


class Wanted(BaseModel):
    """Which part of the queue an expert works on; it stays from case to case.

    Prices come as text, since a form sends an empty one.
    """

    brand: str = Field("", max_length=200)
    from_krw: str = Field("", max_length=20)
    to_krw: str = Field("", max_length=20)
    mine: bool = False
    state: Literal["", "submitted", "in_review"] = ""
    second: bool = False

    def filters(self, actor: Actor) -> Filters:
        """Convert for an expert; a price that is no number counts as none."""
        return Filters(
            self.brand or None,
            _won(self.from_krw),
            _won(self.to_krw),
            actor.account if self.mine else None,
            State(self.state) if self.state else None,
            self.second,
        )

    def link(self, public_id: str = "", **more: object) -> str:
        """Address of a case, or of the queue, that keeps these filters."""
        kept = {name: value for name, value in self.model_dump(exclude={"mine"}).items() if value}
        query = urlencode({**kept, **more})
        return (f"{PATH}/{public_id}" if public_id else PATH) + (f"?{query}" if query else "")


class DecisionForm(BaseModel):
    """What all decisions have; the page measures `seconds`, if it has a script."""

    seconds: str = Field("", max_length=20)
    text: str = Field("", max_length=MAX_TEXT_CHARS)


class CertifyForm(DecisionForm):
    """Certify; `code` is empty where `other` is meant."""

    code: str = Field("", max_length=MAX_CODE_CHARS)
    other: str = Field("", max_length=MAX_CODE_CHARS)
    grade: Grade | None = None


class RejectForm(DecisionForm):
    """Reject."""

    reason: Reason


class AskForm(DecisionForm):
    """Ask for photos, by name or in words."""

    photo: list[Annotated[str, Field(max_length=MAX_ASKED_CHARS)]] = Field(
        default_factory=list, max_length=MAX_ASKED
    )
    other: str = Field("", max_length=MAX_ASKED_CHARS)


@dataclass(frozen=True, slots=True)
class Visit:
    """An expert's request to the desk."""

    request: Request
    server: ServerState
    market: MarketState
    actor: Actor
    wanted: Wanted


async def _visit(
    request: Request,
    server: Server,
    market: Market,
    who: Who,
    wanted: Annotated[Wanted, Query()],
) -> Visit:
    return Visit(request, server, market, actor_of(who), wanted)


Here = Annotated[Visit, Depends(_visit)]
After = Annotated[str, Query(max_length=32, description="The listing decided just before.")]

router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[allow(Role.EXPERT)],
)


@router.get("")
def queue(
    here: Here, page: Annotated[int, Query(ge=1, le=10_000)] = 1, after: After = ""
) -> Response:
    """Show what waits for an expert, the oldest first."""
    goods = here.market.goods
    total, waiting = goods.queue.waiting(here.wanted.filters(here.actor), page=page)
    have = [one.listing.claimed_by for one in waiting if one.claimed]
    return pages_of(here.request).render(
        here.request,
        "market/desk.html",
        waiting=waiting,
        total=total,
        page=page,
        more=total > page * PAGE,
        wanted=here.wanted,
        brands=goods.queue.brands(),
        names=names_of(here.market, have),
        after=_decided(here.market, after),
        me=here.actor.account,
    )


@router.get("/codes")
def codes(
    request: Request, server: Server, other: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Suggest codes for a search word, as the options of a list."""
    return suggested_codes(request, server, other)


@router.post("/next")
def take_next(here: Here) -> Response:
    """Claim the oldest listing that this expert may decide, and show it."""
    return _onward(here)


@router.get("/{listing}")
@patient
def show_case(here: Here, listing: Id, after: After = "") -> Response:
    """Show a case, without claiming it."""
    return _page(here, listing, after=_decided(here.market, after))


@router.post("/{listing}/claim")
def claim(here: Here, listing: Id) -> Response:
    """Take a case from the queue."""
    here.market.goods.queue.claim(listing, here.actor)
    return RedirectResponse(here.wanted.link(listing), 303)


@router.post("/{listing}/renew")
def renew(here: Here, listing: Id) -> Response:
    """Keep a case for longer: its page is still open."""
    require_claim(here.market.goods.listings.get(listing), here.actor)
    here.market.goods.queue.claim(listing, here.actor)
    return Response(status_code=204)


@router.post("/{listing}/release")
def release(here: Here, listing: Id) -> Response:
    """Put a case back, and show the queue."""
    here.market.goods.queue.release(listing, here.actor)
    return RedirectResponse(here.wanted.link(), 303)


@router.post("/{listing}/certify")
@patient
def certify(here: Here, listing: Id, form: Annotated[CertifyForm, Form()]) -> Response:
    """Certify a case, and go on to the next."""
    code = form.code or form.other.strip()

    def decide(seconds: float) -> Listing:
        return here.market.goods.decisions.certify(
            listing, code, here.actor, seconds=seconds, grade=form.grade, text=form.text
        )

    return _decide(here, listing, form, decide, lacks="grade")


@router.post("/{listing}/reject")
@patient
def reject(here: Here, listing: Id, form: Annotated[RejectForm, Form()]) -> Response:
    """Reject a case, and go on to the next."""

    def decide(seconds: float) -> Listing:
        return here.market.goods.decisions.reject(
            listing, form.reason, here.actor, seconds=seconds, text=form.text
        )

    return _decide(here, listing, form, decide, lacks="text")


@router.post("/{listing}/ask")
@patient
def ask(here: Here, listing: Id, form: Annotated[AskForm, Form()]) -> Response:
    """Ask the seller for photos, and go on to the next case."""

    def decide(seconds: float) -> Listing:
        return here.market.goods.decisions.ask(
            listing, [*form.photo, form.other], here.actor, seconds=seconds, text=form.text
        )

    return _decide(here, listing, form, decide, lacks="photos")


def _decide(
    here: Visit,
    public_id: str,
    form: DecisionForm,
    decide: Callable[[float], Listing],
    *,
    lacks: str,
) -> Response:
    """Decide and claim the next case, or show this one again and say why it was not possible.

    Args:
        lacks: what an incomplete decision lacks.
    """
    try:
        decide(_seconds(here.market, public_id, form.seconds))
    except UnknownListing:
        raise
    except (StateConflict, Forbidden):
        return _page(here, public_id, fault="gone", given=form, status=409)
    except CatalogueError:
        return _page(here, public_id, fault="code", given=form, status=422)
    except UsageError:
        return _page(here, public_id, fault=lacks, given=form, status=422)
    return _onward(here, after=public_id)


def _page(
    here: Visit,
    public_id: str,
    *,
    fault: str | None = None,
    given: DecisionForm | None = None,
    after: Listing | None = None,
    status: int = 200,
) -> Response:
    """Show a case.

    Args:
        fault: why a decision was not possible, and `given` what was sent.
        after: the listing decided just before.
    """
    listing = here.market.goods.listings.get(public_id)
    found = case_values(here.server.workspace.catalogue, here.market, here.actor, listing)
    more: dict[str, Any] = {
        "wanted": here.wanted,
        "fault": fault,
        "given": given,
        "after": after,
    }
    return pages_of(here.request).render(
        here.request, "market/desk_case.html", status, **found, **more
    )


def _onward(here: Visit, *, after: str = "") -> Response:
    """Claim the next case and lead there, or back to the queue where nothing waits."""
    everybodys = here.wanted.model_copy(update={"mine": False})
    found = here.market.goods.queue.claim_next(here.actor, everybodys.filters(here.actor))
    more = {"after": after} if after else {}
    return RedirectResponse(everybodys.link(found.public_id if found else "", **more), 303)


def _decided(market: MarketState, public_id: str) -> Listing | None:
    """The listing that was decided just before; None without one."""
    try:
        return market.goods.listings.get(public_id) if public_id else None
    except UnknownListing:
        return None


def _seconds(market: MarketState, public_id: str, measured: str) -> float:
    """The expert's time: as the page measured it, or since the case was claimed."""
    try:
        seconds = float(measured)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds <= MAX_SECONDS:
        return seconds
    events = market.goods.listings.events(public_id)
    claimed = [event.at for event in events if event.step is StepName.CLAIM]
    since = (now() - claimed[-1]).total_seconds() if claimed else 0.0
    return min(max(since, 0.0), MAX_SECONDS)


def _won(text: str) -> int | None:
    digits = text.replace(",", "").replace("₩", "").strip()
    return min(int(digits), MAX_PRICE_KRW) if digits.isdecimal() else None
