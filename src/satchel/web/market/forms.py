"""Fields that several forms share, and how a form is shown again that was not accepted."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import AccountError
from satchel.market.accounts import emails, passwords
from satchel.market.accounts.store import MAX_NAME_CHARS
from satchel.web.access import allow
from satchel.web.pages.rendering import pages_of
from satchel.web.problems import problem_of

MAX_TOKEN_CHARS: Final = 64

Email = Annotated[str, Field(max_length=emails.MAX_CHARS)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]
Password = Annotated[str, Field(max_length=4 * passwords.MAX_CHARS)]
Token = Annotated[str, Field(max_length=MAX_TOKEN_CHARS)]
Next = Annotated[str, Field(max_length=500)]

FORM: Final = allow(None, form=True)
"""For forms that nobody known sends."""


def show_form(
    request: Request, template: str, error: AccountError | None = None, **values: Any
) -> Response:
    """Show a form of `templates/market`, with why it was not accepted."""
    status = problem_of(error).kind.status if error else 200
    return pages_of(request).render(
        request,
        f"market/{template}",
        status,
        reason=error.reason if error else None,
        min_password=passwords.MIN_CHARS,
        max_password=passwords.MAX_CHARS,
        max_name=MAX_NAME_CHARS,
        **values,
    )
