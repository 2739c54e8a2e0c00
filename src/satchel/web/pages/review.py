"""Review of photos: people decide on doubtful and dropped photos, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, unquote, urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.decisions import Choice, Decision
from satchel.catalog.review import ReviewPhoto
from satchel.curate.decide import CONFLICT, COPY
from satchel.curate.garbage import Reason
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.links import product_link
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.signatures import Sign, signature_of
from satchel.web.state import Server, ServerState
from satchel.web.visitors import seen_visitor

WHO: Final = "satchel_reviewer"
WHO_CHARS: Final = 60
YEAR_S: Final = 365 * 24 * 60 * 60
KEPT_SHOWN: Final = 12
NEARER_SHOWN: Final = 4
NEARER: Final = Reason.OTHER_PRODUCT
SUGGESTIONS: Final = 8
MOST_ID: Final = 2**63 - 1

State = Literal["doubtful", "dropped"]
PhotoChoice = Literal["keep", "drop", "move", "keep_both"]
KIND: Final = r"^[a-z_]{0,40}$"


class Place(BaseModel):
    """Where in the review a form was sent from, and the reviewer's name."""

    state: State = "doubtful"
    kind: str = Field("", pattern=KIND)
    who: str = Field("", max_length=WHO_CHARS)


class DecisionForm(Place):
    """A decision on a photo; `code` of the product that it shows instead."""

    link_id: int = Field(ge=0, le=MOST_ID)
    choice: PhotoChoice
    code: str = Field("", max_length=200)
    back: Literal["review", "product"] = "review"


class UndoForm(Place):
    """Which decision to undo; `after` is the photo that it was on."""

    decision: int = Field(ge=0, le=MOST_ID)
    after: int = Field(0, ge=0, le=MOST_ID)
    back: Literal["review", "decisions"] = "review"


router = APIRouter(
    prefix="/review",
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[allow(Role.EXPERT)],
)


@router.get("")
def review(
    request: Request,
    server: Server,
    state: Annotated[State, Query()] = "doubtful",
    kind: Annotated[str, Query(pattern=KIND)] = "",
    after: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
) -> Response:
    """Show the next photo in question, with the kept photos of its product."""
    values = _question(request, server, state, kind, after)
    template = "_review.html" if is_fragment(request) else "review.html"
    return pages_of(request).render(request, template, **values)


@router.get("/codes")
def codes(
    request: Request, server: Server, code: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Suggest codes for a search word, as the options of a list."""
    return suggested_codes(request, server, code)


def suggested_codes(request: Request, server: ServerState, words: str) -> Response:
    """Render the codes of products that match, as the options of a list."""
    page = server.workspace.catalogue.products(words, limit=SUGGESTIONS)
    return pages_of(request).render(
        request, "_codes.html", products=[product for product, _ in page.products]
    )


@router.get("/decisions")
def decisions(request: Request, server: Server) -> Response:
    """Show the last decisions, each with a button to undo it."""
    history = server.workspace.catalogue.review.history()
    return render_history(request, history, review="/review", here="photos")


@router.post("/decide")
def decide(
    request: Request, server: Server, sign: Sign, form: Annotated[DecisionForm, Form()]
) -> Response:
    """Keep, drop or move a photo, and show the next."""
    store = server.workspace.catalogue.review
    photo = store.photo(form.link_id)
    choice = Choice(form.choice)
    links = _both(server, photo) if choice is Choice.KEEP_BOTH else [form.link_id]
    store.decide(choice, links, code=form.code.strip(), by=sign(form.who))
    server.reindexing.soon()
    if form.back == "product":
        return RedirectResponse(product_link(photo.code), 303)
    return _onwards(request, server, form, after=form.link_id)


@router.post("/undo")
def undo(
    request: Request, server: Server, sign: Sign, form: Annotated[UndoForm, Form()]
) -> Response:
    """Undo a decision, and show its photo again."""
    server.workspace.catalogue.review.undo(form.decision, by=sign(form.who))
    server.reindexing.soon()
    if form.back == "decisions":
        return RedirectResponse("/review/decisions", 303)
    return _onwards(request, server, form, after=max(0, form.after - 1))


def _onwards(request: Request, server: ServerState, place: Place, *, after: int) -> Response:
    """Answer with the photo after this one, and keep the reviewer's name."""
    if is_fragment(request):
        values = _question(request, server, place.state, place.kind, after)
        return signed(render_for(request, "_review.html", values, place.who), place.who)
    return signed(RedirectResponse(_address(place.state, place.kind, after), 303), place.who)


def render_for(request: Request, template: str, values: dict[str, Any], who: str) -> Response:
    """Render the next question, with the reviewer's name from the form."""
    return pages_of(request).render(request, template, **{**values, "who": who.strip()})


def render_history(
    request: Request, history: Sequence[Decision], *, review: str, here: str
) -> Response:
    """Render a page of decisions, those that were undone included."""
    return pages_of(request).render(
        request,
        "decisions.html",
        decisions=history,
        review=review,
        here=here,
        who=reviewer(request),
    )


def signed(response: Response, who: str) -> Response:
    """Let the browser keep the reviewer's name for the next visit; see `reviewer`."""
    response.set_cookie(WHO, quote(who.strip()), max_age=YEAR_S, httponly=True, samesite="strict")
    return response


def reviewer(request: Request) -> str:
    """Return the name under which this browser decided before; empty where it has not."""
    own = signature_of(seen_visitor(request)).account
    return (own or unquote(request.cookies.get(WHO, "")))[:WHO_CHARS]


def _question(
    request: Request, server: ServerState, state: State, kind: str, after: int
) -> dict[str, Any]:
    """Return what the page shows of the next photo."""
    catalogue = server.workspace.catalogue
    store = catalogue.review
    found = store.in_state(state, kind=kind or None, after=after, limit=2)
    photo = found[0] if found else None
    last = next(iter(store.history(limit=1, standing=True)), None)
    values = {
        "state": state,
        "kind": kind,
        "after": after,
        "left": store.count(state),
        "who": reviewer(request),
        "photo": photo,
        "following": found[1] if len(found) > 1 else None,
        "last": last,
        "last_link": _link_of(server, last),
        "skip": _address(state, kind, photo.link_id) if photo else None,
        "again": _address(state, kind, 0),
    }
    if photo is None:
        return values
    kept = store.of_product(photo.code, state="kept")
    nearer = _nearer_to(photo)
    doubted = [] if kept else store.of_product(photo.code, state="doubtful")
    return values | {
        "product": catalogue.product(photo.code),
        "kept": kept[:KEPT_SHOWN],
        "doubted": [other for other in doubted if other.link_id != photo.link_id][:KEPT_SHOWN],
        "elsewhere": _elsewhere(server, photo),
        "copied": _copied(server, photo),
        "nearer": nearer,
        "of_nearer": store.of_product(nearer, state="kept")[:NEARER_SHOWN] if nearer else [],
    }


def _link_of(server: ServerState, decision: Decision | None) -> int:
    """Return the link id of the photo that a decision was on; 0 where it is gone."""
    if decision is None:
        return 0
    subject = decision.subjects[0]
    photos = server.workspace.catalogue.review.by_sha256([subject.photo or ""])
    return next((photo.link_id for photo in photos if photo.code == subject.code), 0)


def _nearer_to(photo: ReviewPhoto) -> str | None:
    """Return the code of the product that curation found the photo to be nearer to."""
    found = (reason.get("codes") for reason in photo.reasons if reason["kind"] == NEARER)
    return next((codes[0] for codes in found if codes), None)


def _elsewhere(server: ServerState, photo: ReviewPhoto) -> list[ReviewPhoto]:
    """Return the same photo under other codes, where that is what is in question."""
    named = {
        (code, name)
        for reason in photo.reasons
        if reason["kind"] == CONFLICT
        for code, name in zip(reason["codes"], reason.get("photos", ()), strict=False)
    }
    if not named:
        return []
    found = server.workspace.catalogue.review.by_sha256(sorted({name for _, name in named}))
    return [other for other in found if (other.code, other.sha256) in named]


def _copied(server: ServerState, photo: ReviewPhoto) -> list[ReviewPhoto]:
    """Return the photo of the product that a photo was dropped as a copy of."""
    names = [reason["of"] for reason in photo.reasons if reason["kind"] == COPY]
    found = server.workspace.catalogue.review.by_sha256(names)
    return [other for other in found if other.code == photo.code]


def _both(server: ServerState, photo: ReviewPhoto) -> list[int]:
    """Return the links of the photo, and of the same photo under other codes."""
    return [photo.link_id, *(other.link_id for other in _elsewhere(server, photo))]


def _address(state: str, kind: str, after: int) -> str:
    query = {"state": state if state != "doubtful" else "", "kind": kind, "after": after or ""}
    given = urlencode({name: value for name, value in query.items() if value})
    return f"/review?{given}" if given else "/review"
