"""`/api/v1/listings`: a seller's listings, from draft to sold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, File, Form, Path, Query, Request, Response, UploadFile

from satchel.catalog.filters import Where, parse_where
from satchel.errors import Forbidden, UsageError
from satchel.extras import missing_module
from satchel.identify import MAX_ITEM_PHOTOS
from satchel.locate.given import given_box, parse_box
from satchel.market.listings.fields import ListingFields
from satchel.market.listings.photos import photo_of
from satchel.market.listings.records import Listing as Stored
from satchel.market.listings.records import ListingPhoto
from satchel.market.listings.states import Actor, Part, State, StepName, parts
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.filters import QueryFilter
from satchel.web.api.openapi import curl, problems
from satchel.web.api.photos import JPEG, Side
from satchel.web.market.listing_schemas import (
    Consent,
    GivenBox,
    Listing,
    ListingEvent,
    Listings,
    PhotoOrder,
    PhotoRead,
    Readings,
)
from satchel.web.market.state import Market, MarketState
from satchel.web.middleware.departures import is_gone
from satchel.web.schemas import Identification
from satchel.web.state import Server, ServerState
from satchel.web.threads import patient
from satchel.web.uploads import KeptPhoto
from satchel.web.visitors import Visitor, Who

READ: Final = allow(Role.SELLER, scope=Scope.LISTINGS_READ)
WRITE: Final = allow(Role.SELLER, scope=Scope.LISTINGS_WRITE)
KEY: Final = "curl -H 'Authorization: Bearer KEY'"
OWN_STEPS: Final = frozenset(
    (StepName.SUBMIT, StepName.REVISE, StepName.OFFER, StepName.WITHDRAW, StepName.RETURN)
)
"""Steps that need nothing but their actor; the others have routes of their own."""

Id = Annotated[str, Path(max_length=32, description="The listing.")]
Sha = Annotated[str, Path(max_length=64, description="SHA-256 of the photo.")]
Version = Annotated[
    int | None, Query(ge=1, lt=2**63, description="That the change is made to; refused if it grew.")
]
SmallSide = Annotated[Side | None, Query(description="Longer side in pixels, at most.")]
PageNumber = Annotated[int, Query(ge=1, le=10_000)]

router = APIRouter(prefix="/api/v1/listings", tags=["listings"])


@router.post(
    "",
    status_code=201,
    dependencies=[WRITE],
    responses=problems(400, 401, 403),
    openapi_extra=curl(f"{KEY} -X POST '{{base}}/api/v1/listings'"),
)
def create_listing(market: Market, who: Who) -> Listing:
    """Make an empty draft."""
    actor = actor_of(who)
    return Listing.of(market.goods.listings.create(actor), actor)


@router.get(
    "",
    dependencies=[READ],
    responses=problems(401, 403, 422),
    openapi_extra=curl(f"{KEY} '{{base}}/api/v1/listings?state=draft'"),
)
def own_listings(
    market: Market,
    who: Who,
    state: Annotated[Sequence[State], Query(max_length=len(State))] = (),
    page: PageNumber = 1,
) -> Listings:
    """Give one's own listings, the last changed first."""
    actor = actor_of(who)
    assert actor.account is not None
    total, found = market.goods.listings.of_seller(actor.account, states=state, page=page)
    return Listings.of(total, found, actor)


@router.get("/{listing}", dependencies=[READ], responses=problems(401, 403, 404))
def get_listing(market: Market, who: Who, listing: Id) -> Listing:
    """Give a listing of one's own; experts may see all."""
    return Listing.of(visible(market, who, listing), actor_of(who))


@router.get("/{listing}/events", dependencies=[READ], responses=problems(401, 403, 404))
def listing_events(market: Market, who: Who, listing: Id) -> list[ListingEvent]:
    """Give what happened to a listing, the first event first."""
    found = visible(market, who, listing)
    events = market.goods.listings.events(found.public_id)
    return [ListingEvent.of(one, actor_of(who)) for one in events]


@router.get("/{listing}/readings", dependencies=[READ], responses=problems(401, 403, 404))
def listing_readings(market: Market, who: Who, listing: Id) -> Readings:
    """Give what is written on the photos, tags and barcodes: it is read, not seen.

    Photos are read by a worker, in the order in which they came; ask again until all were.
    """
    found = market.readings.of(visible(market, who, listing))
    return Readings(
        available=missing_module("ocr") is None,
        photos=[PhotoRead.of(one, market.codes.match(one.texts or ())) for one in found],
    )


@router.patch(
    "/{listing}",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 422),
    openapi_extra=curl(
        f"{KEY} -X PATCH -H 'Content-Type: application/json' "
        '-d \'{"code": "M22675", "grade": "A", "price_krw": 1200000}\' '
        "'{base}/api/v1/listings/ID'"
    ),
)
def change_listing(
    market: Market, who: Who, listing: Id, fields: ListingFields, version: Version = None
) -> Listing:
    """Change what is said of the good; what is left out stays."""
    actor = actor_of(who)
    return Listing.of(market.goods.listings.change(listing, fields, actor, version=version), actor)


@router.put("/{listing}/consent", dependencies=[WRITE], responses=problems(401, 403, 404, 409, 422))
def agree(market: Market, who: Who, listing: Id, consent: Consent) -> Listing:
    """Let the catalogue have the photos once the good is certified, or no longer; in any state."""
    actor = actor_of(who)
    return Listing.of(market.goods.listings.agree(listing, consent.given, actor), actor)


@router.post(
    "/{listing}/photos",
    status_code=201,
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=curl(
        f"{KEY} -F upload=front-0001 -F photo=@front.jpg '{{base}}/api/v1/listings/ID/photos'"
    ),
)
@patient
def add_photo(
    *,
    market: Market,
    who: Who,
    listing: Id,
    photo: Annotated[UploadFile, File(description="One photo.")],
    upload: Annotated[
        str,
        Form(
            max_length=64,
            description="Your own name for this upload, 8 to 64 letters, digits, - or _: one that "
            "is sent again under it, after a lost connection, is stored once.",
        ),
    ],
    asked: Annotated[
        str | None, Form(max_length=120, description="What an expert wanted to see on it.")
    ] = None,
) -> Listing:
    """Add a photo behind the others. Metadata, position included, is removed."""
    actor = actor_of(who)
    data = photo.file.read()
    return Listing.of(market.photos.add(listing, upload, data, actor, asked=asked), actor)


@router.put("/{listing}/photos", dependencies=[WRITE], responses=problems(400, 401, 403, 404, 409))
def order_photos(market: Market, who: Who, listing: Id, order: PhotoOrder) -> Listing:
    """Put the photos in another order; the first is the cover."""
    actor = actor_of(who)
    return Listing.of(market.photos.order(listing, order.photos, actor), actor)


@router.get(
    "/{listing}/photos/{sha}",
    dependencies=[READ],
    response_class=Response,
    responses={**JPEG, **problems(400, 401, 403, 404)},
)
@patient
def listing_photo(
    market: Market, who: Who, listing: Id, sha: Sha, side: SmallSide = None
) -> Response:
    """Give a photo, as its seller and the experts see it."""
    photo_of(visible(market, who, listing), sha)
    return jpeg_of(market, sha, side=side)


@router.delete(
    "/{listing}/photos/{sha}",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409),
)
def remove_photo(market: Market, who: Who, listing: Id, sha: Sha) -> Listing:
    """Remove a photo."""
    actor = actor_of(who)
    return Listing.of(market.photos.remove(listing, sha, actor), actor)


@router.put(
    "/{listing}/photos/{sha}/box",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 422),
)
def set_box(market: Market, who: Who, listing: Id, sha: Sha, given: GivenBox) -> Listing:
    """Draw a box around the good, or remove it."""
    actor = actor_of(who)
    photo = photo_of(market.goods.listings.get(listing), sha)
    box = None if given.box is None else parse_box(given.box).on(photo.height, photo.width)
    return Listing.of(market.photos.set_box(listing, sha, box, actor), actor)


@router.post(
    "/{listing}/identify",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    openapi_extra=curl(f"{KEY} -X POST '{{base}}/api/v1/listings/ID/identify?brand=Dior'"),
)
@patient
def identify_listing(
    *,
    request: Request,
    server: Server,
    market: Market,
    who: Who,
    listing: Id,
    filtered: QueryFilter,
) -> Identification:
    """Identify the good from its photos; the answer is kept with the listing."""
    where = parse_where(filtered)
    answer, _ = identify(server, market, who, listing, where, gone=is_gone(request))
    return answer


@router.post(
    "/{listing}/steps/{step}",
    dependencies=[WRITE],
    responses=problems(400, 401, 403, 404, 409, 422),
    openapi_extra=curl(f"{KEY} -X POST '{{base}}/api/v1/listings/ID/steps/submit'"),
)
def take_step(market: Market, who: Who, listing: Id, step: StepName) -> Listing:
    """Submit, revise, offer, withdraw, or take a sold good back."""
    if step not in OWN_STEPS:
        raise UsageError(
            f"expected one of {', '.join(sorted(OWN_STEPS))}, got {step.value}, which has an "
            "address of its own"
        )
    actor = actor_of(who)
    return Listing.of(market.goods.listings.step(listing, step, actor), actor)


def actor_of(who: Visitor) -> Actor:
    """Return the account of a request, as one that takes steps."""
    assert who.account is not None
    return Actor(who.account.id, who.account.role)


def visible(market: MarketState, who: Visitor, public_id: str) -> Stored:
    """Return a listing that its seller or an expert wants to see.

    Raises:
        UnknownListing: there is none.
        Forbidden: it is another seller's.
    """
    found = market.goods.listings.get(public_id)
    if not parts(actor_of(who), found.seller) & {Part.SELLER, Part.EXPERT, Part.ADMIN}:
        raise Forbidden("this listing is another seller's; what is on sale is under /goods")
    return found


def jpeg_of(
    market: MarketState, sha: str, *, public: bool = False, side: Side | None = None
) -> Response:
    """Answer a photo of a listing, which never changes.

    Args:
        public: for everybody, with people blurred.
        side: its longer side in pixels, at most; None for all of it.

    Raises:
        CatalogueError: it is gone.
    """
    tag = f"{sha}-{side.value if side else 'whole'}"
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "ETag": f'"{tag}"'}
    if public and side is not None:
        small = market.public_photos.small(sha, side.value)
        return Response(small, media_type="image/webp", headers=headers)
    data = market.public_photos.read(sha) if public else market.photos.read(sha)
    if side is not None:
        data = market.small(data, side.value)
    return Response(data, media_type="image/jpeg", headers=headers)


def identify(
    server: ServerState,
    market: MarketState,
    who: Visitor,
    public_id: str,
    where: Where,
    *,
    gone: Callable[[], bool],
) -> tuple[Identification, Stored]:
    """Identify a good by photos of its listing: those with a box that its seller drew, then others.

    The answer is kept with the listing, and returned with it.

    Raises:
        Forbidden: it is another seller's.
        StateConflict: it can no longer be changed, or was meanwhile.
        SatchelError: see `ServerState.identify`.
    """
    actor, listings = actor_of(who), market.goods.listings
    listing = listings.own(public_id, actor)
    shown = sorted(listing.photos, key=lambda one: one.box is None)[:MAX_ITEM_PHOTOS]
    photos = [KeptPhoto(photo_name(one), market.photos.read(one.sha256)) for one in shown]
    found = server.identify(
        [photo.received() for photo in photos],
        boxes=[None if one.box is None else given_box(one.box) for one in shown],
        where=where,
        gone=gone,
    )
    names = tuple(photos[place].name for place in found.used)
    answer = Identification.linked(names, found.found, None, (), found.refused)
    kept = {**answer.model_dump(mode="json"), "space": found.space}
    return answer, listings.remember_answer(public_id, kept, actor, photos=listing.photos)


def photo_name(photo: ListingPhoto) -> str:
    """Name of a photo in answers."""
    return photo.sha256[:12]
