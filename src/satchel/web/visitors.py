"""Who a request is from: nobody known, a person with a session, or a program with an API key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from satchel.market.accounts.secret import PATTERN, derived, new_secret, same
from satchel.market.roles import Role
from satchel.web.addresses import client_of
from satchel.web.problems import Kind, Refusal

if TYPE_CHECKING:
    from satchel.market.accounts.records import Account, ApiKey, Session
    from satchel.web.market.state import MarketState

COOKIE: Final = "satchel_account"
SECURE_COOKIE: Final = "__Host-satchel"
"""The prefix has browsers refuse the cookie unless it is Secure, and from any other host."""

CSRF: Final = "csrf"
"""Field of forms, and purpose of the token derived from the browser's secret."""
CSRF_HEADER: Final = "X-CSRF-Token"
FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

BAD_KEY: Final = Kind(401, "bad-api-key", "The API key does not count")


@dataclass(slots=True)
class Visitor:
    """Who a request is from.

    Attributes:
        secret: what the browser's cookie holds: the token of a session, or of nobody's. Forms that
            are shown to it carry a token derived from this.
        fresh: whether the browser does not have the secret yet, and is to get it.
        address: it comes from.
    """

    secret: str
    fresh: bool
    address: str
    account: Account | None = None
    session: Session | None = None
    key: ApiKey | None = None
    shows_form: bool = False

    @property
    def form_token(self) -> str:
        """The token that forms of this browser must carry; the browser then gets the secret."""
        self.shows_form = True
        return derived(self.secret, CSRF)

    def includes(self, role: Role) -> bool:
        """Whether it is an account with this role, or one that may do the same."""
        return self.account is not None and self.account.role.includes(role)


def market_of(request: Request) -> MarketState | None:
    """The resale service of the application that a request came to; None without one."""
    market: MarketState | None = request.app.state.market
    return market


async def visitor_of(request: Request) -> Visitor:
    """Return who a request is from; looked up once a request.

    Raises:
        Refusal: it brings an API key that does not count.
    """
    known = getattr(request.state, "visitor", None)
    if known is None:
        market = market_of(request)
        if market is not None and _names_somebody(request):
            known = await run_in_threadpool(_look_up, request, market)
        else:
            known = nobody(request)
        request.state.visitor = known
    assert isinstance(known, Visitor)
    return known


def seen_visitor(request: Request) -> Visitor | None:
    """Return who a request is from if that was looked up."""
    known = getattr(request.state, "visitor", None)
    return known if isinstance(known, Visitor) else None


def nobody(request: Request) -> Visitor:
    """A visitor without an account and without a secret."""
    return Visitor(new_secret(), True, client_of(request.scope))


Who = Annotated[Visitor, Depends(visitor_of)]
"""Dependency type: who the request is from."""


async def has_form_token(request: Request, visitor: Visitor) -> bool:
    """Whether a request carries the token of the forms that this browser was shown."""
    if visitor.fresh:
        return False
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(FORMS):
        value = (await request.form()).get(CSRF)  # parsed once a request
        given = value if isinstance(value, str) else None
    return given is not None and same(given, derived(visitor.secret, CSRF))


def give_cookie(request: Request, response: Response, secret: str) -> None:
    """Let the browser keep a secret, until it is closed or the session ends."""
    secure = _is_secure(request)
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        secret,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
        max_age=_max_age_s(request),
    )


def take_cookie(request: Request, response: Response) -> None:
    """Let the browser forget its secret."""
    secure = _is_secure(request)
    response.delete_cookie(
        SECURE_COOKIE if secure else COOKIE, path="/", secure=secure, httponly=True, samesite="lax"
    )


def _is_secure(request: Request) -> bool:
    """Whether the browser came by https, also where a proxy ends TLS and does not say so."""
    market = market_of(request)
    assert market is not None
    return request.scope["scheme"] == "https" or market.settings.url.startswith("https://")


def _max_age_s(request: Request) -> int:
    market = market_of(request)
    assert market is not None
    return market.settings.session_days * 24 * 60 * 60


def _names_somebody(request: Request) -> bool:
    """Whether a request brings a secret or a key, to be looked up in the database."""
    return "authorization" in request.headers or bool(PATTERN.fullmatch(_secret_of(request)))


def _secret_of(request: Request) -> str:
    return request.cookies.get(SECURE_COOKIE if _is_secure(request) else COOKIE, "")


def _look_up(request: Request, market: MarketState) -> Visitor:
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return _with_key(request, market, authorization)
    secret = _secret_of(request)
    visitor = Visitor(secret, False, client_of(request.scope))
    found = market.sessions.find(secret)
    if found is not None:
        visitor.session, visitor.account = found
    return visitor


def _with_key(request: Request, market: MarketState, authorization: str) -> Visitor:
    scheme, _, key = authorization.partition(" ")
    found = market.keys.find(key.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise Refusal(
            BAD_KEY,
            "expected `Authorization: Bearer KEY` with an API key that was not revoked, got "
            "another one; make one on the page of your account",
            headers={"WWW-Authenticate": "Bearer"},
        )
    visitor = nobody(request)
    visitor.key, visitor.account = found
    return visitor
