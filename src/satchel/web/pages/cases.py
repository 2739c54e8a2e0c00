"""`/cases`: answers on which people chose, to be found again, answered by an expert or removed."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Query
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.catalog.cases import CaseState
from satchel.errors import CatalogueError
from satchel.identify import MAX_ITEM_PHOTOS
from satchel.market.roles import Role
from satchel.web.access import EVERYBODY, allow
from satchel.web.feedback import Choice, answer_case, remove_case
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.links import case_link
from satchel.web.pages.feedback import MAX_NOTE_CHARS
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.pages.review import WHO_CHARS, reviewer, signed, suggested_codes
from satchel.web.signatures import Sign
from satchel.web.state import Server

PAGE_CASES: Final = 30
MAX_OFFSET: Final = 1_000_000

Token = Annotated[str, Path(max_length=MAX_TOKEN_CHARS)]
State = Literal["", "open", "named", "none"]

WITH_LINK: Final = EVERYBODY
"""A case's token is its link, which whoever asked an expert was given."""

EXPERTS: Final = allow(Role.EXPERT)

router = APIRouter(prefix="/cases", include_in_schema=False, default_response_class=HTMLResponse)


class CaseForm(BaseModel):
    """Which product a case is; neither code nor other code: none of the candidates."""

    code: str = Field("", max_length=200)
    other: str = Field("", max_length=200)
    choice: Literal["code", "other", "none", "note"] = "code"
    note: str = Field("", max_length=MAX_NOTE_CHARS)
    who: str = Field("", max_length=WHO_CHARS)


@router.get("", dependencies=[EXPERTS])
def cases(
    request: Request,
    server: Server,
    state: State = "",
    query: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    """Show the last cases."""
    store = server.workspace.catalogue.cases
    wanted = CaseState(state) if state else None
    found = store.recent(wanted, query=query.strip(), offset=offset, limit=PAGE_CASES + 1)
    filtered: dict[str, Any] = {"state": state, "query": query}
    template = "_more_cases.html" if is_fragment(request) and offset else "cases.html"
    return pages_of(request).render(
        request,
        template,
        cases=found[:PAGE_CASES],
        counts={one.value: store.count(one) for one in CaseState} | {"": store.count()},
        more="/cases?" + urlencode({**filtered, "offset": offset + PAGE_CASES})
        if len(found) > PAGE_CASES
        else None,
        export="/api/v1/cases.csv?" + urlencode(filtered),
        **filtered,
    )


@router.get("/codes", dependencies=[EXPERTS])
def other_codes(
    request: Request, server: Server, other: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Suggest codes for a search word, as the options of a list."""
    return suggested_codes(request, server, other)


@router.get("/{token}", dependencies=[WITH_LINK])
def case(request: Request, server: Server, token: Token) -> Response:
    """Show a case as it was reported, with what was chosen."""
    found = server.workspace.catalogue.cases.case(token)
    return pages_of(request).render(
        request,
        "case.html",
        case=found,
        who=reviewer(request),
        days=server.workspace.settings.serve.keep_cases_days,
        address=str(request.url_for("case", token=token)),
    )


@router.get("/{token}/{position}.jpg", dependencies=[WITH_LINK])
def case_photo(
    server: Server, token: Token, position: Annotated[int, Path(ge=1, le=MAX_ITEM_PHOTOS)]
) -> Response:
    """Give a photo that was kept with a case."""
    path = server.workspace.case_photos.path(token, position)
    if not path.is_file():
        raise CatalogueError("this photo was not kept, or is not any more")
    headers = {"Cache-Control": "private, no-cache"}
    return FileResponse(path, media_type="image/jpeg", headers=headers)


@router.post("/{token}", dependencies=[EXPERTS])
def choose(server: Server, token: Token, sign: Sign, form: Annotated[CaseForm, Form()]) -> Response:
    """Say which product it is, or write a note."""
    note, by = form.note.strip(), sign(form.who) or ""
    if form.choice == "note":
        server.workspace.catalogue.cases.annotate(token, note=note, by=by)
    else:
        code = {"code": form.code, "other": form.other.strip(), "none": None}[form.choice]
        answer_case(server, token, Choice(code, note=note, by=by))
    return signed(RedirectResponse(case_link(token), 303), form.who)


@router.post("/{token}/remove", dependencies=[EXPERTS])
def remove(server: Server, token: Token, sure: Annotated[Literal["true"], Form()]) -> Response:
    """Delete a case with its photos."""
    remove_case(server, token)
    return RedirectResponse("/cases", 303)
