"""What happens in the browser and on the server as a person logs in or out; for pages and API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from satchel.market.accounts.records import Account
from satchel.web.languages import chosen_language
from satchel.web.market.state import MarketState
from satchel.web.visitors import Visitor, give_cookie, take_cookie


def log_in(
    request: Request,
    market: MarketState,
    visitor: Visitor,
    account: Account,
    response: Response,
    *,
    way: str,
) -> str:
    """Begin a session; the browser gets its token in place of the one that it had.

    Args:
        way: how the person has shown who they are.

    Returns:
        The token.
    """
    token = market.sessions.begin(
        account.id,
        way=way,
        user_agent=request.headers.get("user-agent", ""),
        address=visitor.address,
        replaced=None if visitor.fresh else visitor.secret,
    )
    give_cookie(request, response, token)
    return token


def log_out(request: Request, market: MarketState, visitor: Visitor, response: Response) -> None:
    """End the session of this browser; it forgets what it had loaded of the account."""
    if visitor.session is not None and visitor.account is not None:
        market.sessions.end(visitor.account.id, visitor.session.id, address=visitor.address)
    take_cookie(request, response)
    response.headers["Clear-Site-Data"] = '"cache"'


def locale_of(request: Request) -> str:
    """Return the language in which a person who registers gets e-mails: that of the page."""
    return chosen_language(request)
