"""`/collections`: how far collecting is, and its candidates, to be accepted, rejected or moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import AfterValidator, BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.collect.deciding import CandidateReview
from satchel.collect.pasted import SOURCE, read_pasted
from satchel.collect.records import CandidateChoice
from satchel.collect.store import CandidateStore
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.middleware.body_limit import LIST_BYTES, LIST_CHARS
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.pages.review import (
    MOST_ID,
    WHO_CHARS,
    render_for,
    reviewer,
    signed,
    suggested_codes,
)
from satchel.web.signatures import Sign
from satchel.web.state import Server, ServerState
from satchel.web.threads import patient
from satchel.workflows.collections import (
    MAX_URLS,
    Activity,
    Pasted,
    activity,
    fetch_chosen,
    paste,
    total,
)

PATH: Final = "/collections"
CANDIDATES: Final = f"{PATH}/candidates"
FETCHING: Final = "fetching"
"""Event on a page after which its grid of candidates asks again."""
PAGE_PRODUCTS: Final = 50
PAGE_CANDIDATES: Final = 60

Code = Annotated[str, Query(max_length=200)]
Group = Literal["", "fetched", "waiting", "refused"]
Source = Annotated[str, Query(max_length=400)]
Number = Annotated[int, Field(ge=0, le=MOST_ID)]
Seen = Annotated[str, Query(max_length=60)]
"""What a page that asks again has seen; see `_stamp`."""
Decisions = Annotated[Sequence[Number], Field(max_length=2)]
Numbers = Annotated[list[Number], Field(max_length=PAGE_CANDIDATES)]


class Sheet(BaseModel):
    """Which candidates a form was sent from, and the name of whoever decides."""

    code: str = Field(max_length=200)
    group: Group = ""
    source: str = Field("", max_length=400)
    after: Number = 0
    who: str = Field("", max_length=WHO_CHARS)


class CandidatesForm(Sheet):
    """One decision on several candidates; `other`: code of the product that they show."""

    candidate: Annotated[Numbers, Field(min_length=1)]
    choice: CandidateChoice
    other: str = Field("", max_length=200)


class UndoCandidatesForm(Sheet):
    """Which decisions to undo, as `CandidateReview.decide` gave them."""

    decision: Annotated[Decisions, Field(min_length=1)]


def _with_plain_ends(text: str) -> str:
    """Return a text whose lines end as in the form: browsers send two characters for each."""
    return text.replace("\r\n", "\n")


class PasteForm(BaseModel):
    """URLs of photos, a line each; `other`: code of the product that lines without one are of.

    `place`: the code below whose candidates the form is, if any.
    """

    other: str = Field("", max_length=200)
    place: str = Field("", max_length=200)
    urls: Annotated[str, AfterValidator(_with_plain_ends)] = Field("", max_length=LIST_BYTES)
    who: str = Field("", max_length=WHO_CHARS)


router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[allow(Role.EXPERT)],
)


@router.get("")
@patient
def show_collection(
    request: Request,
    server: Server,
    after: Code = "",
    seen: Seen = "",
) -> Response:
    """Show how far collecting is; a page that is open asks again, and mostly hears: as before."""
    now = activity(server.workspace)
    stamp = _stamp(now)
    if is_fragment(request) and seen == stamp:
        return Response(status_code=204)
    store = CandidateStore(server.workspace.catalogue.engine)
    sources = store.counts_by_source()
    products = store.counts_by_product(after, PAGE_PRODUCTS + 1)
    shown = dict(list(products.items())[:PAGE_PRODUCTS])
    more = len(products) > PAGE_PRODUCTS
    template = "_collections.html" if is_fragment(request) else "collections.html"
    return pages_of(request).render(
        request,
        template,
        now=now,
        total=total(list(sources.values())),
        sources=sources,
        products=shown,
        **_paste_values(request, server),
        again=f"{PATH}?{urlencode({'after': after, 'seen': stamp})}",
        first_page=PATH if after else None,
        next_page=f"{PATH}?{urlencode({'after': list(shown)[-1]})}" if more else None,
    )


@router.post("/paste", form_limits={"max_part_size": LIST_BYTES})
@patient
def paste_urls(
    request: Request, server: Server, sign: Sign, form: Annotated[PasteForm, Form()]
) -> Response:
    """Have photos fetched whose URLs were pasted, and say which lines cannot be used."""
    code = form.other.strip()
    too_long = len(form.urls) > LIST_CHARS
    listed = [] if too_long else list(read_pasted(form.urls, code))
    enough = len(listed) <= MAX_URLS
    done = paste(server.workspace, listed, by=sign(form.who)) if listed and enough else None
    values = {
        **_paste_values(request, server, code, form.place),
        "pasted": done,
        "too_many": not enough,
        "too_long": too_long,
        "left": _left(form.urls, done),
    }
    template = "_paste.html" if is_fragment(request) else "pasted.html"
    answer = signed(render_for(request, template, values, form.who), form.who)
    answer.headers["HX-Trigger"] = FETCHING  # an open grid then asks for what is new
    return answer


@router.get("/candidates")
@patient
def show_candidates(
    request: Request,
    server: Server,
    *,
    code: Code,
    group: Group = "",
    source: Source = "",
    after: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
    seen: Seen = "",
    done: Annotated[Decisions, Query()] = (),
) -> Response:
    """Show the candidates of a product, to choose several of them.

    A page that is open asks again while they are fetched, with the decisions that it can undo.
    """
    if is_fragment(request) and seen and seen == _stamp(activity(server.workspace)):
        return Response(status_code=204)
    sheet = Sheet(code=code, group=group, source=source, after=after)
    template = "_candidates.html" if is_fragment(request) else "candidates.html"
    return pages_of(request).render(request, template, **_values(request, server, sheet, done))


@router.get("/codes")
def codes(
    request: Request, server: Server, other: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Suggest codes for a search word, as the options of a list."""
    return suggested_codes(request, server, other)


@router.post("/decide")
@patient
def decide_on_candidates(
    request: Request, server: Server, sign: Sign, form: Annotated[CandidatesForm, Form()]
) -> Response:
    """Accept, reject or move the chosen candidates, in one decision."""
    ids = list(dict.fromkeys(form.candidate))
    other = form.other.strip()
    review = CandidateReview(server.workspace.catalogue)
    done = review.decide(form.choice, ids, code=other, by=sign(form.who))
    server.reindexing.soon()
    fetch_chosen(server.workspace)
    return _onwards(request, server, form, done)


@router.post("/undo")
@patient
def undo_of_candidates(
    request: Request, server: Server, sign: Sign, form: Annotated[UndoCandidatesForm, Form()]
) -> Response:
    """Undo a decision."""
    CandidateReview(server.workspace.catalogue).undo(form.decision, by=sign(form.who))
    server.reindexing.soon()
    return _onwards(request, server, form)


def _onwards(
    request: Request, server: ServerState, sheet: Sheet, done: Sequence[int] = ()
) -> Response:
    if is_fragment(request):
        values = _values(request, server, sheet, done)
        return signed(render_for(request, "_candidates.html", values, sheet.who), sheet.who)
    address = _address(sheet.code, sheet.group, sheet.source, sheet.after)
    return signed(RedirectResponse(address, 303), sheet.who)


def _stamp(now: Activity) -> str:
    """Return what differs once anything was collected, or a run began or ended."""
    return f"{now.last.isoformat() if now.last else ''}-{now.running:d}{now.queued:d}"


def _values(
    request: Request, server: ServerState, sheet: Sheet, done: Sequence[int] = ()
) -> dict[str, Any]:
    now = activity(server.workspace)  # before what is read: what comes in between is asked for
    catalogue = server.workspace.catalogue
    review = CandidateReview(catalogue)
    found = review.of_product(
        sheet.code,
        group=sheet.group or None,
        source=sheet.source or None,
        after=sheet.after,
        limit=PAGE_CANDIDATES + 1,
    )
    shown = found[:PAGE_CANDIDATES]
    today = shown[0].code if shown else sheet.code
    here = (sheet.code, sheet.group, sheet.source)
    sources = CandidateStore(catalogue.engine).counts_by_source(review.codes_of(sheet.code))
    again = _address(*here, sheet.after, seen=_stamp(now), done=done)
    return {
        "sheet": sheet,
        "candidates": shown,
        "sources": sources,
        "now": now,
        "again": again,
        "total": total(list(sources.values())),
        "today": today,
        "known": catalogue.has_product(today),
        **_paste_values(request, server, sheet.code, sheet.code),
        "first_page": _address(*here) if sheet.after else None,
        "next_page": _address(*here, shown[-1].id) if len(found) > PAGE_CANDIDATES else None,
        "done": done,
    }


def _paste_values(
    request: Request, server: ServerState, code: str = "", place: str = ""
) -> dict[str, Any]:
    """Return what the form for URLs shows at first; see `PasteForm`."""
    contact = bool(server.workspace.settings.collect.contact.strip())
    return {
        "by_hand": SOURCE,
        "contact": contact,
        "pasted": None,
        "too_many": False,
        "too_long": False,
        "left": "",
        "paste_code": code,
        "place": place,
        "most": MAX_URLS,
        "most_chars": LIST_CHARS,
        "candidates_link": _address,
        "who": reviewer(request),
    }


def _left(urls: str, done: Pasted | None) -> str:
    """Return the lines that are still to be mended: those that could not be used, or all."""
    if done is None:
        return urls
    lines = urls.splitlines()
    return "\n".join(dict.fromkeys(lines[one.line - 1] for one in done.problems))


def _address(
    code: str,
    group: str = "",
    source: str = "",
    after: int = 0,
    *,
    seen: str = "",
    done: Sequence[int] = (),
) -> str:
    query = {"code": code, "group": group, "source": source, "after": after or "", "seen": seen}
    pairs = [(name, value) for name, value in query.items() if value]
    return f"{CANDIDATES}?{urlencode([*pairs, *(('done', one) for one in done)])}"
