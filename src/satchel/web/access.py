"""What a route says about who may use it: `allow(Role.SELLER, scope=Scope.LISTINGS_READ)`.

Without accounts (`[market] enabled = false`) everybody may do everything, as it is with a tool of
one's own. `tests/web/test_access.py` finds every route that says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from satchel.catalog.tables import now
from satchel.market.roles import Role, Scope
from satchel.web.middleware.origins import SAFE_METHODS
from satchel.web.problems import Kind, Refusal
from satchel.web.visitors import Visitor, has_form_token, market_of, visitor_of

LOG_IN: Final = Kind(401, "log-in", "You have to log in first")
LOG_IN_AGAIN: Final = Kind(403, "log-in-again", "You have to log in again first")
FORBIDDEN: Final = Kind(403, "forbidden", "Your account may not do this")
NO_SCOPE: Final = Kind(403, "no-scope", "The API key may not do this")
TERMS: Final = Kind(403, "accept-terms", "The terms have to be accepted first")
BAD_FORM: Final = Kind(403, "stale-form", "The form was not made for this log-in")

RECENT: Final = timedelta(minutes=30)
"""How long ago a person may have logged in who does what an intruder would like to do."""


@dataclass(frozen=True, slots=True)
class Allow:
    """Who may use a route; see `allow`."""

    role: Role | None
    scope: Scope | None
    recent: bool
    form: bool
    before_terms: bool
    from_outside: bool

    async def __call__(self, request: Request) -> None:
        """Let a request pass.

        Raises:
            Refusal: it may not.
        """
        market = market_of(request)
        if market is None:
            return
        visitor = await visitor_of(request)
        market.rates.request(visitor)
        unsafe = request.method not in SAFE_METHODS and not self.from_outside
        if unsafe and (visitor.session or self.form) and not visitor.key:
            await _require_form_token(request, visitor)
        if self.role is not None:
            self._require(visitor, self.role)
            if not self.before_terms and visitor.key is None:
                _require_terms(visitor, market.terms.version)

    def _require(self, visitor: Visitor, role: Role) -> None:
        if visitor.account is None:
            raise Refusal(
                LOG_IN,
                "expected a log-in or an API key; log in at /login, or send "
                "`Authorization: Bearer KEY`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not visitor.includes(role):
            raise Refusal(
                FORBIDDEN,
                f"expected an account with the role {role.value}, got one with "
                f"{visitor.account.role.value}; ask an admin",
            )
        if visitor.key is not None:
            self._require_scope(visitor.key.scopes)
        elif self.recent:
            _require_recent(visitor)

    def _require_scope(self, scopes: frozenset[Scope]) -> None:
        if self.scope is None:
            raise Refusal(NO_SCOPE, "expected a person who is logged in; no API key may do this")
        if self.scope not in scopes:
            raise Refusal(
                NO_SCOPE,
                f"expected an API key with the scope {self.scope.value}, got "
                f"{', '.join(sorted(scopes))}; make another key",
            )


def allow(
    role: Role | None,
    *,
    scope: Scope | None = None,
    recent: bool = False,
    form: bool = False,
    before_terms: bool = False,
    from_outside: bool = False,
) -> Any:
    """Say who may use a route, as one of its `dependencies`.

    A state change by a session must carry the token of its forms, besides the origin that
    `OwnOrigin` checks.

    Args:
        role: that the account must have, or one beyond it; None: everybody, without an account too.
        scope: that an API key must have; None: no key may use a route that needs a role.
        recent: whether the person must have logged in within half an hour.
        form: whether nobody too must have been shown a form by us before, as for logging in.
        before_terms: whether people may use it who have not accepted the present terms: what shows,
            exports and deletes their own account. Programs with an API key are not held up.
    """
    return Depends(Allow(role, scope, recent, form, before_terms, from_outside))


EVERYBODY: Final = allow(None)
"""For routes that need no account."""


def leads_to_log_in(request: Request, kind: Kind) -> Response | None:
    """Lead a person who has to log in there, or to the terms, and back to the page afterwards."""
    pages = {LOG_IN: "/login", LOG_IN_AGAIN: "/login", TERMS: "/terms"}
    if kind not in pages:
        return None
    back = request.url.path if request.method == "GET" else "/account"
    if request.method == "GET" and request.url.query:
        back += f"?{request.url.query}"
    target = f"{pages[kind]}?{urlencode({'next': back})}"
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)


async def _require_form_token(request: Request, visitor: Visitor) -> None:
    if not await has_form_token(request, visitor):
        raise Refusal(
            BAD_FORM,
            "expected the token of a form that this log-in was shown, in the field csrf or the "
            "header X-CSRF-Token; open the page again and repeat what you did there",
        )


def _require_terms(visitor: Visitor, version: str) -> None:
    assert visitor.account is not None
    if visitor.account.terms not in (None, version):
        raise Refusal(
            TERMS,
            f"expected that the terms of version {version} are accepted; read them at /terms, and "
            "accept them there or by POST /api/v1/account/terms",
        )


def _require_recent(visitor: Visitor) -> None:
    assert visitor.session is not None
    if now() - visitor.session.created_at > RECENT:
        minutes = int(RECENT.total_seconds() // 60)
        raise Refusal(
            LOG_IN_AGAIN, f"expected a log-in within the last {minutes} minutes; log in again"
        )
