"""`/api/v1/session` and `/api/v1/accounts`: register, log in, log out."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from satchel.errors import AccountError
from satchel.market.accounts.entry import Registration
from satchel.market.accounts.secret import derived
from satchel.market.roles import Role
from satchel.web.access import EVERYBODY, allow
from satchel.web.api.openapi import curl, problems
from satchel.web.market.entry import require_open
from satchel.web.market.logging_in import locale_of, log_in, log_out
from satchel.web.market.schemas import (
    Account,
    Confirming,
    Forgetting,
    LoggedIn,
    LoggingIn,
    Mailed,
    Registering,
    Resetting,
)
from satchel.web.market.state import Market
from satchel.web.threads import patient
from satchel.web.visitors import CSRF, Who

OWN: Final = allow(Role.SELLER, before_terms=True)

router = APIRouter(prefix="/api/v1", tags=["accounts"])


def _example(path: str, body: str) -> dict[str, object]:
    return curl(f"curl -H 'Content-Type: application/json' -d '{body}' '{{base}}/api/v1{path}'")


@router.post(
    "/accounts",
    status_code=202,
    dependencies=[EVERYBODY],
    responses=problems(404, 422, 429),
    openapi_extra=_example(
        "/accounts",
        '{"email": "a@b.example", "password": "…", "accept_terms": true}',
    ),
)
@patient
def register(request: Request, market: Market, who: Who, given: Registering) -> Mailed:
    """Register; the address is asked by e-mail to confirm it.

    The answer is the same where the address has an account.
    """
    require_open(market)
    market.rates.register(who.address)
    if not given.accept_terms:
        raise AccountError("expected that the terms are accepted", "terms")
    terms, locale = market.terms.version, locale_of(request)
    if market.rates.letter(given.email):
        wanted = Registration(given.email, given.password, given.name, locale, terms)
        market.entry.register(wanted, address=who.address)
    return Mailed()


@router.post(
    "/account/confirm",
    dependencies=[EVERYBODY],
    responses=problems(422),
    openapi_extra=_example("/account/confirm", '{"token": "…"}'),
)
def confirm(market: Market, who: Who, given: Confirming) -> Account:
    """Confirm an e-mail address by the secret of the e-mail."""
    return Account.of(market.entry.confirm(given.token, address=who.address))


@router.post(
    "/account/forgotten",
    status_code=202,
    dependencies=[EVERYBODY],
    responses=problems(422, 429),
    openapi_extra=_example("/account/forgotten", '{"email": "a@b.example"}'),
)
def forgotten(market: Market, who: Who, given: Forgetting) -> Mailed:
    """Send an e-mail with which a new password can be chosen, if the address has an account."""
    market.rates.reset(who.address)
    if market.rates.letter(given.email):
        market.entry.forget_password(given.email, address=who.address)
    return Mailed()


@router.post(
    "/account/reset",
    dependencies=[EVERYBODY],
    responses=problems(422, 429),
    openapi_extra=_example("/account/reset", '{"token": "…", "password": "…"}'),
)
@patient
def reset(market: Market, who: Who, given: Resetting) -> Account:
    """Choose a new password by the secret of the e-mail; all sessions end."""
    market.rates.reset(who.address)
    account = market.entry.reset_password(given.token, given.password, address=who.address)
    return Account.of(account)


@router.post(
    "/session",
    dependencies=[EVERYBODY],
    responses=problems(401, 422, 429),
    openapi_extra=_example("/session", '{"email": "a@b.example", "password": "…"}'),
)
@patient
def begin_session(
    request: Request, response: Response, market: Market, who: Who, given: LoggingIn
) -> LoggedIn:
    """Log in: the answer sets a cookie, and gives the token that changes must carry."""
    market.rates.log_in(who.address, given.email)
    account = market.entry.check_password(given.email, given.password, address=who.address)
    token = log_in(request, market, who, account, response, way="password")
    return LoggedIn(account=Account.of(account), csrf_token=derived(token, CSRF))


@router.get(
    "/session",
    dependencies=[OWN],
    responses=problems(401),
    openapi_extra=curl("curl -b cookies.txt '{base}/api/v1/session'"),
)
def session(who: Who) -> LoggedIn:
    """Say who is logged in."""
    assert who.account is not None
    return LoggedIn(account=Account.of(who.account), csrf_token=who.form_token)


@router.delete(
    "/session",
    status_code=204,
    dependencies=[OWN],
    responses=problems(401, 403),
    openapi_extra=curl(
        "curl -b cookies.txt -X DELETE -H 'X-CSRF-Token: TOKEN' '{base}/api/v1/session'"
    ),
)
def end_session(request: Request, market: Market, who: Who) -> Response:
    """Log out."""
    response = Response(status_code=204)
    log_out(request, market, who, response)
    return response
