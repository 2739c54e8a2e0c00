"""`/feedback`: "this one" and "none of these" below an answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.web.feedback import record_feedback
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.pages.rendering import is_fragment, pages_of
from satchel.web.state import Server

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.post("/feedback")
def feedback(
    request: Request,
    server: Server,
    answer: Annotated[str, Form(max_length=MAX_TOKEN_CHARS)] = "",
    code: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Store what was said, and say so in place; without JavaScript, lead back to the start."""
    said = record_feedback(server, answer, code or None)
    if not is_fragment(request):
        return RedirectResponse("/", 303)
    return pages_of(request).render(request, "_feedback.html", code=said.code)
