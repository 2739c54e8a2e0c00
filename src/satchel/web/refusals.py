"""The log of what was refused: log-ins, access, input. For those who watch the server.

A line names address, account, method, path and kind of refusal, nothing that was sent: no secret
can be in it, and nobody can write lines of their own.
"""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import quote

from starlette.requests import Request

from satchel.web.addresses import client_of
from satchel.web.logs import SECURITY
from satchel.web.visitors import seen_visitor

STATUSES: Final = frozenset((400, 401, 403, 413, 415, 421, 422, 429))
"""Of answers that refuse a request for what it is or who it is from."""

log = logging.getLogger(SECURITY)


def log_refusal(request: Request, status: int, slug: str) -> None:
    """Log that a request was refused.

    Args:
        slug: kind of the problem, such as `forbidden`.
    """
    if status not in STATUSES:
        return
    visitor = seen_visitor(request)
    account = visitor.account.id if visitor is not None and visitor.account else None
    client, path = client_of(request.scope), quote(request.scope["path"])
    who = f"account {account}" if account else "nobody known"
    log.info(
        "refused %s (%s) %s %s: %s",
        *(client, who, request.method, path, slug),
        extra={
            "figures": {
                "event": "refused",
                "client": client,
                "account": account,
                "method": request.method,
                "path": path,
                "problem": slug,
            }
        },
    )
