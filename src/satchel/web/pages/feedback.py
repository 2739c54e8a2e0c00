"""`/feedback`: below an answer, which product it is, or that an expert is to say so."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.web.access import EVERYBODY
from satchel.web.feedback import Choice, record_feedback
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.links import case_link
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.sessions import session_of
from satchel.web.state import Server
from satchel.web.threads import patient

MOST_OTHERS: Final = 8
"""Products that a search shows: more are narrowed down faster by another word."""

MAX_NOTE_CHARS: Final = 2_000

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[EVERYBODY]
)

Token = Annotated[str, Form(max_length=MAX_TOKEN_CHARS)]
Text = Annotated[str, Form(max_length=200)]


class FeedbackForm(BaseModel):
    """What is said of an answer; neither code nor expert: none of these."""

    answer: str = Field("", max_length=MAX_TOKEN_CHARS)
    code: str = Field("", max_length=200)
    expert: bool = False
    keep: bool = False
    note: str = Field("", max_length=MAX_NOTE_CHARS)


@router.post("/feedback")
@patient
def feedback(request: Request, server: Server, form: Annotated[FeedbackForm, Form()]) -> Response:
    """Store what was said, and say so in place; without JavaScript, lead to the case."""
    choice = Choice(form.code or None, expert=form.expert, keep=form.keep, note=form.note)
    case = record_feedback(server, form.answer, choice, session=session_of(request))
    if not is_fragment(request):
        return RedirectResponse(case_link(case.token), 303)
    return pages_of(request).render(
        request, "_feedback.html", case=case, unkept=form.keep and not case.photo_bytes
    )


@router.post("/feedback/other")
def other_product(
    request: Request, server: Server, answer: Token = "", query: Text = ""
) -> Response:
    """Show the products that match, each to be named as the right one; else a page to search.

    By POST, so that the answer's token stands in no address.
    """
    searched = bool(query.strip())
    return pages_of(request).render(
        request,
        "_others.html" if is_fragment(request) else "others.html",
        answer=answer,
        query=query,
        searched=searched,
        page=server.workspace.catalogue.products(query, limit=MOST_OTHERS) if searched else None,
    )


@router.get("/feedback/other")
def other_product_again() -> Response:
    """Lead a reader who reloads the page back to the start."""
    return RedirectResponse("/", 303)
