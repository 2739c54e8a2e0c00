"""Sessions: a cookie that tells one browser from another, and nothing more.

What the server keeps for a browser (see `satchel.web.kept`) is given to that browser alone.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from satchel.web.kept import new_token

COOKIE: Final = "satchel_session"
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")


def session_of(request: Request) -> str:
    """Return the session of a request, a new one where it has none."""
    given = request.cookies.get(COOKIE, "")
    return given if TOKEN.fullmatch(given) else new_token()


def remember(response: Response, session: str) -> None:
    """Let the browser send this session with its next requests, until it is closed."""
    response.set_cookie(COOKIE, session, httponly=True, samesite="strict")
