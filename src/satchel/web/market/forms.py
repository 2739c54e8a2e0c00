"""Fields that several forms share, and how a form is shown again that was not accepted."""

from __future__ import annotations

import re
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
from satchel.web.refusals import log_refusal
from satchel.web.visitors import market_of

MAX_TOKEN_CHARS: Final = 64
LOCAL_PATH: Final = re.compile(r"/(?![/\\])[^\x00-\x20\\]{0,500}")
DEFAULT_TARGET: Final = "/account"

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
    market = market_of(request)
    problem = problem_of(error) if error else None
    status = problem.kind.status if problem else 200
    if problem is not None:
        log_refusal(request, status, problem.kind.slug)
    return pages_of(request).render(
        request,
        f"market/{template}",
        status,
        reason=error.reason if error else None,
        min_password=passwords.MIN_CHARS,
        max_password=passwords.MAX_CHARS,
        max_name=MAX_NAME_CHARS,
        providers=sorted(market.providers) if market else [],
        **values,
    )


def show_log_in(
    request: Request,
    error: AccountError | None = None,
    *,
    email: str = "",
    next_: str = "",
    confirmed: bool = False,
) -> Response:
    """Show the page to log in.

    Args:
        next_: path to go to then.
        confirmed: whether the person has just confirmed something.
    """
    return show_form(
        request,
        "login.html",
        error,
        email=email,
        next=next_,
        target=local_target(next_),
        confirmed=confirmed,
    )


def local_target(text: str) -> str:
    """Return a path of this server to go to after a log-in; never another site's."""
    return text if LOCAL_PATH.fullmatch(text) else DEFAULT_TARGET
