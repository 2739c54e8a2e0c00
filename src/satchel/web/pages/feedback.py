"""`/feedback`: below an answer, "this one", "none of these" and "it is another product"."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.web.feedback import record_feedback
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.state import Server

MOST_OTHERS: Final = 8
"""Products that a search shows: more are narrowed down faster by another word."""

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Token = Annotated[str, Form(max_length=MAX_TOKEN_CHARS)]
Text = Annotated[str, Form(max_length=200)]


@router.post("/feedback")
def feedback(request: Request, server: Server, answer: Token = "", code: Text = "") -> Response:
    """Store what was said, and say so in place; without JavaScript, lead back to the start."""
    said = record_feedback(server, answer, code or None)
    if not is_fragment(request):
        return RedirectResponse("/", 303)
    return pages_of(request).render(request, "_feedback.html", code=said.code)


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
