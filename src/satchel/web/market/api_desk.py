"""`/api/v1/desk`: the expert's queue and decisions; `/api/v1/certificates`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Response

from satchel.errors import Forbidden, UnknownListing
from satchel.market.desk.queue import Filters
from satchel.market.desk.seen import seen_before
from satchel.market.listings.states import Actor, State
from satchel.market.roles import Role, Scope
from satchel.web.access import EVERYBODY, allow
from satchel.web.api.openapi import curl, problems
from satchel.web.api.photos import JPEG
from satchel.web.market.api_listings import (
    KEY,
    Id,
    PageNumber,
    Sha,
    SmallSide,
    actor_of,
    jpeg_of,
)
from satchel.web.market.desk_schemas import (
    AskingPhotos,
    Assigning,
    Certificate,
    Certifying,
    DeskCase,
    Queue,
    QueueEntry,
    Rejecting,
    Revoking,
)
from satchel.web.market.listing_schemas import Listing
from satchel.web.market.state import Market, MarketState
from satchel.web.threads import patient
from satchel.web.visitors import Who

READ: Final = allow(Role.EXPERT, scope=Scope.DESK_READ)
WRITE: Final = allow(Role.EXPERT, scope=Scope.DESK_WRITE)
ADMIN: Final = allow(Role.ADMIN, scope=Scope.ADMIN)

Number = Annotated[str, Path(max_length=32, description="The certificate.")]
Price = Annotated[int | None, Query(ge=0, lt=2**53)]

router = APIRouter(tags=["desk"])
desk = APIRouter(prefix="/api/v1/desk")
certificates = APIRouter(prefix="/api/v1/certificates")


@desk.get(
    "/queue",
    dependencies=[READ],
    responses=problems(401, 403, 422),
    openapi_extra=curl(f"{KEY} '{{base}}/api/v1/desk/queue?brand=Dior'"),
)
def queue(
    *,
    market: Market,
    who: Who,
    brand: Annotated[str | None, Query(max_length=200)] = None,
    from_krw: Price = None,
    to_krw: Price = None,
    mine: bool = False,
    state: Annotated[
        Literal[State.SUBMITTED, State.IN_REVIEW] | None, Query(description="Where they are.")
    ] = None,
    second: Annotated[
        bool, Query(description="Only those on which an expert gave an opinion already.")
    ] = False,
    page: PageNumber = 1,
) -> Queue:
    """Give the listings that wait for an expert, the oldest first."""
    actor = actor_of(who)
    filters = Filters(brand, from_krw, to_krw, actor.account if mine else None, state, second)
    total, waiting = market.goods.queue.waiting(filters, page=page)
    return Queue(total=total, waiting=[QueueEntry.of(one, actor) for one in waiting])


@desk.post(
    "/next",
    dependencies=[WRITE],
    responses={204: {"description": "Nothing waits for you."}, **problems(401, 403)},
    openapi_extra=curl(f"{KEY} -X POST '{{base}}/api/v1/desk/next'"),
)
@patient
def claim_next(market: Market, who: Who, response: Response) -> DeskCase | None:
    """Claim the oldest listing that you may decide; nobody else gets it for half an hour."""
    actor = actor_of(who)
    found = market.goods.queue.claim_next(actor)
    if found is None:
        response.status_code = 204
        return None
    return case_of(market, actor, found.public_id)


@desk.get("/{listing}", dependencies=[READ], responses=problems(401, 403, 404))
@patient
def desk_case(market: Market, who: Who, listing: Id) -> DeskCase:
    """Give everything that is known of a listing, without claiming it."""
    return case_of(market, actor_of(who), listing)


@desk.post("/{listing}/claim", dependencies=[WRITE], responses=problems(401, 403, 404, 409))
@patient
def claim(market: Market, who: Who, listing: Id) -> DeskCase:
    """Claim a listing; who has it already keeps it for longer."""
    actor = actor_of(who)
    return case_of(market, actor, market.goods.queue.claim(listing, actor).public_id)


@desk.post("/{listing}/release", dependencies=[WRITE], responses=problems(401, 403, 404, 409))
def release(market: Market, who: Who, listing: Id) -> Listing:
    """Put a listing back into the queue."""
    actor = actor_of(who)
    return Listing.of(market.goods.queue.release(listing, actor), actor)


@desk.post("/{listing}/assign", dependencies=[ADMIN], responses=problems(401, 403, 404, 409, 422))
def assign(market: Market, who: Who, listing: Id, given: Assigning) -> Listing:
    """Give a listing to an expert for a day."""
    expert, admin = expert_of(market, given.expert), actor_of(who)
    return Listing.of(market.goods.queue.assign(listing, expert, admin), admin)


@desk.post(
    "/{listing}/certify",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 422),
    openapi_extra=curl(
        f"{KEY} -H 'Content-Type: application/json' "
        '-d \'{"code": "M22675", "grade": "A", "seconds": 12}\' '
        "'{base}/api/v1/desk/ID/certify'"
    ),
)
def certify(market: Market, who: Who, listing: Id, given: Certifying) -> Listing:
    """Certify a listing that you claimed; above a price a second expert must agree."""
    actor = actor_of(who)
    after = market.goods.decisions.certify(
        listing, given.code, actor, seconds=given.seconds, grade=given.grade, text=given.text
    )
    return Listing.of(after, actor)


@desk.post(
    "/{listing}/reject",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 422),
)
def reject(market: Market, who: Who, listing: Id, given: Rejecting) -> Listing:
    """Reject a listing that you claimed, saying why."""
    actor = actor_of(who)
    after = market.goods.decisions.reject(
        listing, given.reason, actor, seconds=given.seconds, text=given.text
    )
    return Listing.of(after, actor)


@desk.post(
    "/{listing}/ask",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 422),
)
def ask(market: Market, who: Who, listing: Id, given: AskingPhotos) -> Listing:
    """Ask the seller of a listing that you claimed for photos."""
    actor = actor_of(who)
    after = market.goods.decisions.ask(
        listing, given.photos, actor, seconds=given.seconds, text=given.text
    )
    return Listing.of(after, actor)


@certificates.get("/{number}", dependencies=[EVERYBODY], responses=problems(404))
def certificate(market: Market, number: Number) -> Certificate:
    """Verify a certificate by its number."""
    return Certificate.of(market.goods.decisions.certificate(number))


@certificates.get(
    "/{number}/photos/{sha}",
    dependencies=[EVERYBODY],
    response_class=Response,
    responses={**JPEG, **problems(400, 404)},
)
@patient
def certificate_photo(market: Market, number: Number, sha: Sha, side: SmallSide = None) -> Response:
    """Give a photo that was certified; people on it are blurred."""
    found = market.goods.decisions.certificate(number)
    if sha not in found.photos:
        raise UnknownListing(f"this certificate names no photo {sha[:12]}…; reload it")
    return jpeg_of(market, sha, public=True, side=side)


@certificates.post(
    "/{number}/revoke",
    dependencies=[ADMIN],
    responses=problems(400, 401, 403, 404, 409, 422),
)
def revoke(market: Market, who: Who, number: Number, given: Revoking) -> Listing:
    """Revoke a certificate; a good for sale under it goes back to its seller."""
    actor = actor_of(who)
    return Listing.of(market.goods.decisions.revoke(number, actor, given.why), actor)


router.include_router(desk)
router.include_router(certificates)


def expert_of(market: MarketState, number: int) -> Actor:
    """Return the expert with this account.

    Raises:
        Forbidden: it is no account that may decide now.
    """
    account = market.accounts.by_id(number)
    may = account is not None and account.role.includes(Role.EXPERT) and not account.disabled_at
    if account is None or not may:
        raise Forbidden(f"expected the account of an expert, got {number}")
    return Actor(account.id, account.role)


def case_of(market: MarketState, actor: Actor, public_id: str) -> DeskCase:
    """Gather what an expert needs to decide.

    Raises:
        UnknownListing: there is no such listing.
    """
    listing = market.goods.listings.get(public_id)
    total, _ = market.goods.listings.of_seller(listing.seller)
    return DeskCase.of(
        listing,
        actor,
        standing=market.goods.queue.standing(listing),
        opinions=market.goods.queue.opinions(listing, actor),
        seen=seen_before(market.engine, listing),
        events=market.goods.listings.events(public_id),
        seller_listings=total,
    )
