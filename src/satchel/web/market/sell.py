"""`/sell` and `/listings/ID`: a seller lists a good, from its first photo to its sale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.filters import parse_where
from satchel.errors import CatalogueError, PhotoError, SatchelError, UsageError
from satchel.locate.given import parse_box
from satchel.market.listings.fields import Grade, Line, ListingFields, ProposedProduct
from satchel.market.listings.photos import MAX_PHOTOS, photo_of
from satchel.market.listings.records import Listing
from satchel.market.listings.states import EDITABLE, Actor, StepName, open_steps
from satchel.market.roles import Role
from satchel.validation import reason
from satchel.web.access import allow
from satchel.web.api.filters import Pairs
from satchel.web.formats import good
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.languages import chosen_language
from satchel.web.market.api_listings import (
    OWN_STEPS,
    actor_of,
    identify,
    photo_name,
    visible,
)
from satchel.web.market.candidates import candidates_of
from satchel.web.market.readings import found_codes
from satchel.web.market.state import Market, MarketState
from satchel.web.middleware.departures import is_gone
from satchel.web.pages.feedback import MOST_OTHERS
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.problems import problem_of
from satchel.web.state import Server
from satchel.web.threads import patient
from satchel.web.visitors import Who

SELLER: Final = allow(Role.SELLER)
Word = Annotated[str, Form(max_length=200)]
MOVES: Final[Mapping[str, Callable[[int], int]]] = {
    "cover": lambda at: 0,
    "earlier": lambda at: max(0, at - 1),
    "later": lambda at: at + 1,
}
"""How a photo is moved: its place → its new place among the others."""

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[SELLER]
)


class FieldsForm(BaseModel):
    """What a seller says of a good; numbers and grades come as text."""

    grade: str = Field("", max_length=4)
    price_krw: str = Field("", max_length=20)
    size: str = Field("", max_length=200)
    defects: str = Field("", max_length=4_000)
    text: str = Field("", max_length=4_000)
    consent_gallery: bool = False
    submit: bool = False


class ProposalForm(BaseModel):
    """A product that the catalogue does not have."""

    brand: str = Field("", max_length=200)
    name: str = Field("", max_length=200)
    notes: str = Field("", max_length=4_000)


@router.get("/sell")
def own_listings(request: Request, market: Market, who: Who, page: int = 1) -> Response:
    """Show one's listings, and where a new one begins."""
    actor = actor_of(who)
    assert actor.account is not None
    number = min(max(page, 1), 10_000)
    total, found = market.goods.listings.of_seller(actor.account, page=number)
    return pages_of(request).render(
        request, "market/sell.html", listings=found, total=total, page=number
    )


@router.post("/sell")
def new_listing(market: Market, who: Who) -> Response:
    """Make a draft, and lead to it; pressed twice, to the same one."""
    listing = market.goods.listings.create(actor_of(who), reuse=True)
    return RedirectResponse(listing_page(listing.public_id), 303)


@router.post("/share/sell")
@patient
def list_shared(
    request: Request,
    server: Server,
    market: Market,
    who: Who,
    token: Annotated[str, Form(max_length=MAX_TOKEN_CHARS)] = "",
) -> Response:
    """Make a draft of photos that were shared with the app, and lead to it."""
    actor = actor_of(who)
    photos = server.shares.take("", token)
    listing = market.goods.listings.create(actor).public_id
    refused: list[tuple[str, str]] = []
    for place, photo in enumerate(photos):
        try:
            market.photos.add(listing, f"shared-{place:02d}", photo.data, actor)
        except PhotoError as error:
            refused.append((photo.name, problem_of(error).kind.slug))
    if refused:
        found = market.goods.listings.get(listing)
        return _page(request, market, actor, found, refused=refused)
    return RedirectResponse(listing_page(listing), 303)


@router.get("/listings/{listing}")
def show_listing(request: Request, market: Market, who: Who, listing: str) -> Response:
    """Show a listing to its seller, who may change it while it is a draft."""
    return _page(request, market, actor_of(who), visible(market, who, listing))


@router.post("/listings/{listing}/photos")
@patient
def add_photos(
    *,
    request: Request,
    market: Market,
    who: Who,
    listing: str,
    photo: Annotated[Sequence[UploadFile], File()] = (),
    upload: Word = "",
    asked: Word = "",
) -> Response:
    """Add photos; with JavaScript one at a time, by names under which they can be sent again."""
    actor = actor_of(who)
    refused: list[tuple[str, str]] = []
    for place, one in enumerate(photo[:MAX_PHOTOS]):
        name = upload or f"form-{one.size}-{place:08d}"
        try:
            market.photos.add(listing, name, one.file.read(), actor, asked=asked or None)
        except PhotoError as error:
            refused.append((one.filename or "", problem_of(error).kind.slug))
    return _after(request, market, actor, listing, refused=refused)


@router.post("/listings/{listing}/photos/{sha}")
def change_photo(
    *,
    request: Request,
    market: Market,
    who: Who,
    listing: str,
    sha: str,
    act: Annotated[str, Form(max_length=10)] = "",
    box: Word = "",
    place: Annotated[int, Form(ge=0, le=MAX_PHOTOS)] = 0,
) -> Response:
    """Remove a photo, move it, make it the cover, or draw a box on it.

    `place` is where it is put among the others, from 0, for `act=place`.
    """
    actor = actor_of(who)
    found = visible(market, who, listing)
    photo = photo_of(found, sha)
    if act == "remove":
        market.photos.remove(listing, sha, actor)
    elif act in MOVES or act == "place":
        order = [one.sha256 for one in found.photos]
        at = order.index(sha)
        order.insert(MOVES[act](at) if act in MOVES else place, order.pop(at))
        market.photos.order(listing, order, actor)
    elif act == "box":
        given = parse_box(box).on(photo.height, photo.width) if box.strip() else None
        market.photos.set_box(listing, sha, given, actor)
    else:
        raise UsageError("expected act to be remove, cover, earlier, later, place or box")
    return _after(request, market, actor, listing)


@router.post("/listings/{listing}/identify")
@patient
def identify_photos(
    *,
    request: Request,
    server: Server,
    market: Market,
    who: Who,
    listing: str,
    where: Annotated[Pairs, Form()] = (),
) -> Response:
    """Identify the good from its photos, and show the candidates; `where` is a filter."""
    try:
        given = parse_where(where)
        _, after = identify(server, market, who, listing, given, gone=is_gone(request))
    except SatchelError as error:
        if not is_fragment(request):
            raise
        found, problem = visible(market, who, listing), problem_of(error)
        return pages_of(request).render(
            request,
            "market/_candidates.html",
            listing=found,
            candidates=(),
            located=located(found, request),
            problem=problem,
        )
    if not is_fragment(request):
        return RedirectResponse(f"{listing_page(listing)}#product", 303)
    return _candidates(request, after)


@router.post("/listings/{listing}/search")
def search(
    *,
    request: Request,
    server: Server,
    market: Market,
    who: Who,
    listing: str,
    query: Word = "",
) -> Response:
    """Show products of the catalogue that match, each to be chosen."""
    found = visible(market, who, listing)
    words = query.strip()
    page = server.workspace.catalogue.products(words, limit=MOST_OTHERS) if words else None
    if not is_fragment(request):
        return _page(request, market, actor_of(who), found, query=words, matches=page)
    return pages_of(request).render(
        request, "market/_matches.html", listing=found, query=words, matches=page
    )


@router.post("/listings/{listing}/code")
def choose_code(market: Market, who: Who, listing: str, code: Annotated[Line, Form()]) -> Response:
    """Choose the product."""
    market.goods.listings.change(listing, ListingFields(code=code), actor_of(who))
    return RedirectResponse(f"{listing_page(listing)}#product", 303)


@router.post("/listings/{listing}/proposal")
def propose(
    request: Request,
    market: Market,
    who: Who,
    listing: str,
    form: Annotated[ProposalForm, Form()],
) -> Response:
    """Describe a product that the catalogue does not have."""
    actor = actor_of(who)
    try:
        proposed = ProposedProduct(brand=form.brand, name=form.name, notes=form.notes)
        if not proposed.name:
            raise UsageError("expected what the good is called")
    except (ValidationError, UsageError) as error:
        found = visible(market, who, listing)
        return _page(request, market, actor, found, fault=reason(error), status=422)
    market.goods.listings.change(listing, ListingFields(proposed=proposed), actor)
    return RedirectResponse(f"{listing_page(listing)}#product", 303)


@router.post("/listings/{listing}")
def save(
    request: Request,
    market: Market,
    who: Who,
    listing: str,
    form: Annotated[FieldsForm, Form()],
) -> Response:
    """Save what is said of the good, and submit it if that is wanted."""
    actor = actor_of(who)
    try:
        market.goods.listings.change(listing, _fields(form), actor)
        if form.submit:
            market.goods.listings.step(listing, StepName.SUBMIT, actor)
    except (ValidationError, UsageError, CatalogueError) as error:
        if isinstance(error, SatchelError) and problem_of(error).kind.status != 400:
            raise
        found = visible(market, who, listing)
        return _page(request, market, actor, found, fault=reason(error), sent=form, status=422)
    return RedirectResponse(f"{listing_page(listing)}?saved=1", 303)


@router.post("/listings/{listing}/steps/{step}")
def take_step(market: Market, who: Who, listing: str, step: StepName) -> Response:
    """Take a step that needs nothing more."""
    actor = actor_of(who)
    if step is StepName.SELL:
        market.goods.reservations.sell(listing, actor)
    elif step is StepName.CANCEL_RESERVATION:
        market.goods.reservations.cancel(listing, actor)
    elif step in OWN_STEPS:
        market.goods.listings.step(listing, step, actor)
    else:
        raise UsageError(f"{step.value} is not for sellers")
    return RedirectResponse(listing_page(listing), 303)


@router.post("/listings/{listing}/consent")
def agree(
    market: Market, who: Who, listing: str, given: Annotated[bool, Form()] = False
) -> Response:
    """Let the catalogue have the photos of a listing, or no longer."""
    market.goods.listings.agree(listing, given, actor_of(who))
    return RedirectResponse(f"{listing_page(listing)}#consent", 303)


def listing_page(public_id: str) -> str:
    """Address of a listing's page for its seller."""
    return f"/listings/{public_id}"


def _fields(form: FieldsForm) -> ListingFields:
    price = form.price_krw.replace(",", "").replace("₩", "").replace("원", "").strip()
    if form.grade and form.grade not in list(Grade):
        raise UsageError(f"expected one of the grades {', '.join(Grade)}")
    return ListingFields(
        grade=Grade(form.grade) if form.grade else None,
        price_krw=int(price) if price.isdecimal() else (price or None),
        size=form.size,
        defects=form.defects,
        text=form.text,
        consent_gallery=form.consent_gallery,
    )


def _after(
    request: Request,
    market: MarketState,
    actor: Actor,
    public_id: str,
    *,
    refused: Sequence[tuple[str, str]] = (),
) -> Response:
    """Answer a change of photos: the photos alone, or without JavaScript the page."""
    found = market.goods.listings.get(public_id)
    if not is_fragment(request):
        return _page(request, market, actor, found, refused=refused)
    return pages_of(request).render(
        request,
        "market/_listing_photos.html",
        listing=found,
        refused=refused,
        editable=True,
        limits=request.app.state.server.workspace.settings.photos,
    )


def _candidates(request: Request, listing: Listing) -> Response:
    return pages_of(request).render(
        request,
        "market/_candidates.html",
        listing=listing,
        candidates=candidates_of(request.app.state.server.workspace.catalogue, listing),
        located=located(listing, request),
        problem=None,
    )


def located(listing: Listing, request: Request) -> dict[str, dict[str, Any]]:
    """Where identification found the good, and others to take instead: SHA-256 → boxes."""
    machine, language = listing.machine or {}, chosen_language(request)
    seen = {name: at for at, name in enumerate(machine.get("photo", ()))}
    return {
        photo.sha256: {
            "box": _corners(machine["boxes"][at]),
            "others": None
            if machine["detections"][at] is None
            else [
                {"box": _corners(one["box"]), "name": good(one["category"], language)}
                for one in machine["detections"][at]
                if not one["main"]
            ],
        }
        for photo in listing.photos
        if (at := seen.get(photo_name(photo))) is not None
    }


def _corners(box: dict[str, float]) -> list[float]:
    return [box["x0"], box["y0"], box["x1"], box["y1"]]


def _page(
    request: Request,
    market: MarketState,
    actor: Actor,
    listing: Listing,
    status: int = 200,
    *,
    fault: str | None = None,
    sent: FieldsForm | None = None,
    refused: Sequence[tuple[str, str]] = (),
    query: str = "",
    matches: Any = None,
) -> Response:
    """Show a listing.

    Args:
        fault: why what was sent is not saved.
        sent: what was sent, to be corrected.
        refused: names and problems of photos that cannot be used.
        query, matches: a search of the catalogue and what it found.
    """
    return pages_of(request).render(
        request,
        "market/listing.html",
        status,
        listing=listing,
        located=located(listing, request),
        grades=list(Grade),
        fault=fault,
        shown=sent or _stored(listing),
        refused=refused,
        query=query,
        matches=matches,
        saved="saved" in request.query_params,
        problem=None,
        **_allowed(request, market, actor, listing),
        **_model(request, market, listing),
        **_past(market, listing),
        **_bounds(request),
    )


def _allowed(
    request: Request, market: MarketState, actor: Actor, listing: Listing
) -> dict[str, Any]:
    """What this reader may do, and the codes that were read, for who may change the listing."""
    own = actor.account == listing.seller
    editable = own and listing.state in EDITABLE
    return {
        "own": own,
        "editable": editable,
        "steps": open_steps(listing.state, actor, listing.seller),
        "readings": found_codes(request.app.state.server, market, listing) if editable else None,
    }


def _model(request: Request, market: MarketState, listing: Listing) -> dict[str, Any]:
    """The product that was chosen, what it sells for, and those that may be chosen."""
    catalogue, code = request.app.state.server.workspace.catalogue, listing.code
    known = code is not None and catalogue.has_product(code)
    return {
        "product": catalogue.product(code) if known else None,
        "candidates": candidates_of(catalogue, listing),
        "hint": market.goods.shelf.price_hint(code) if code else None,
    }


def _past(market: MarketState, listing: Listing) -> dict[str, Any]:
    """What happened to the listing, and what came of it."""
    events = market.goods.listings.events(listing.public_id)
    return {
        "events": events,
        "asked": _asked(events) if listing.state.value == "photos_asked" else (),
        "certificate": market.goods.decisions.certificate_of(listing),
    }


def _bounds(request: Request) -> dict[str, Any]:
    """How many photos may be sent, and how large."""
    settings = request.app.state.server.workspace.settings
    return {
        "most": MAX_PHOTOS,
        "limits": settings.photos,
        "upload_side_px": settings.serve.upload_side_px,
    }


def _stored(listing: Listing) -> FieldsForm:
    """What is said of a good, as its form has it."""
    return FieldsForm(
        grade=listing.grade.value if listing.grade else "",
        price_krw=f"{listing.price_krw:,}" if listing.price_krw else "",
        size=listing.size,
        defects=listing.defects,
        text=listing.text,
        consent_gallery=listing.consent_gallery,
    )


def _asked(events: Sequence[Any]) -> Sequence[str]:
    """The photos that an expert asked for last."""
    for event in reversed(events):
        if event.step is StepName.ASK_PHOTOS:
            return tuple(event.details.get("photos", ()))
    return ()
