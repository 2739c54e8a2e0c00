"""`/api/v1/account`: one's own account, its password, sessions and API keys."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from satchel.market.roles import Role, Scope
from satchel.web.access import EVERYBODY, allow
from satchel.web.api.openapi import curl, problems
from satchel.web.market.account import MOST_ID, OWN, RECENT
from satchel.web.market.schemas import (
    Account,
    AccountChange,
    Confirming,
    EmailChange,
    Key,
    KeyMade,
    Keys,
    Mailed,
    NewKey,
    PasswordChange,
    Session,
    Sessions,
)
from satchel.web.market.state import Market
from satchel.web.problems import Kind, Refusal
from satchel.web.threads import patient
from satchel.web.visitors import Who

READ: Final = allow(Role.SELLER, scope=Scope.ACCOUNT_READ)
SHOWN: Final = allow(Role.SELLER, scope=Scope.ACCOUNT_READ, before_terms=True)
NOT_YOURS: Final = Kind(404, "not-found", "Your account does not have it")
COOKIE: Final = "curl -b cookies.txt"

Id = Annotated[int, Path(ge=0, le=MOST_ID)]

router = APIRouter(prefix="/api/v1/account", tags=["accounts"])


@router.get(
    "",
    dependencies=[SHOWN],
    responses=problems(401, 403),
    openapi_extra=curl("curl -H 'Authorization: Bearer KEY' '{base}/api/v1/account'"),
)
def account(who: Who) -> Account:
    """Give one's own account."""
    assert who.account is not None
    return Account.of(who.account)


@router.patch(
    "",
    dependencies=[OWN],
    responses=problems(401, 403, 422),
    openapi_extra=curl(
        f"{COOKIE} -X PATCH -H 'X-CSRF-Token: TOKEN' -H 'Content-Type: application/json' "
        "-d '{\"name\": \"Mina\"}' '{base}/api/v1/account'"
    ),
)
def change_own_account(market: Market, who: Who, given: AccountChange) -> Account:
    """Change the name that others see."""
    assert who.account is not None
    return Account.of(market.entry.rename(who.account, given.name, address=who.address))


@router.post(
    "/email",
    status_code=202,
    dependencies=[RECENT],
    responses=problems(401, 403, 422),
    openapi_extra=curl(
        f"{COOKIE} -H 'X-CSRF-Token: TOKEN' -H 'Content-Type: application/json' "
        "-d '{\"email\": \"new@b.example\"}' '{base}/api/v1/account/email'"
    ),
)
def change_email(market: Market, who: Who, given: EmailChange) -> Mailed:
    """Ask a new e-mail address whether it is yours; the present one counts until then.

    The answer is the same where the address has an account. Needs a log-in within the last half
    hour.
    """
    assert who.account is not None
    if market.rates.letter(given.email) and market.rates.letter(who.account.email):
        market.entry.ask_email(who.account, given.email, address=who.address)
    return Mailed()


@router.post(
    "/email/confirm",
    dependencies=[EVERYBODY],
    responses=problems(422),
    openapi_extra=curl(
        "curl -H 'Content-Type: application/json' -d '{\"token\": \"…\"}' "
        "'{base}/api/v1/account/email/confirm'"
    ),
)
def confirm_email(market: Market, who: Who, given: Confirming) -> Account:
    """Change an e-mail address by the secret that was sent to the new one."""
    return Account.of(market.entry.confirm_email(given.token, address=who.address))


@router.post(
    "/password",
    status_code=204,
    dependencies=[OWN],
    responses=problems(401, 403, 422, 429),
    openapi_extra=curl(
        f"{COOKIE} -H 'X-CSRF-Token: TOKEN' -H 'Content-Type: application/json' "
        '-d \'{"old": "…", "new": "…"}\' \'{base}/api/v1/account/password\''
    ),
)
@patient
def change_password(market: Market, who: Who, given: PasswordChange) -> Response:
    """Change the password; all other sessions end."""
    assert who.account is not None
    assert who.session is not None
    market.rates.log_in(who.address, who.account.email)
    market.entry.change_password(
        who.account, given.old, given.new, session=who.session.id, address=who.address
    )
    return Response(status_code=204)


@router.get(
    "/sessions",
    dependencies=[READ],
    responses=problems(401, 403),
    openapi_extra=curl(f"{COOKIE} '{{base}}/api/v1/account/sessions'"),
)
def sessions(market: Market, who: Who) -> Sessions:
    """List one's log-ins."""
    assert who.account is not None
    here = who.session.id if who.session else None
    found = market.sessions.of(who.account.id)
    return Sessions(sessions=[Session.of(one, current=one.id == here) for one in found])


@router.delete(
    "/sessions/{session}",
    status_code=204,
    dependencies=[OWN],
    responses=problems(401, 403, 404),
    openapi_extra=curl(
        f"{COOKIE} -X DELETE -H 'X-CSRF-Token: TOKEN' '{{base}}/api/v1/account/sessions/12'"
    ),
)
def end_own_session(market: Market, who: Who, session: Id) -> Response:
    """End one of one's log-ins."""
    assert who.account is not None
    if not market.sessions.end(who.account.id, session, address=who.address):
        raise Refusal(NOT_YOURS, f"you have no session {session} that has not ended")
    return Response(status_code=204)


@router.get(
    "/keys",
    dependencies=[READ],
    responses=problems(401, 403),
    openapi_extra=curl(f"{COOKIE} '{{base}}/api/v1/account/keys'"),
)
def keys(market: Market, who: Who) -> Keys:
    """List one's API keys, without their secrets."""
    assert who.account is not None
    return Keys(keys=[Key.of(one) for one in market.keys.of(who.account.id)])


@router.post(
    "/keys",
    status_code=201,
    dependencies=[RECENT],
    responses=problems(401, 403, 422),
    openapi_extra=curl(
        f"{COOKIE} -H 'X-CSRF-Token: TOKEN' -H 'Content-Type: application/json' "
        '-d \'{"name": "till", "scopes": ["listings:write"]}\' \'{base}/api/v1/account/keys\''
    ),
)
def create_key(market: Market, who: Who, given: NewKey) -> KeyMade:
    """Make an API key. Needs a log-in within the last half hour."""
    assert who.account is not None
    key, made = market.keys.create(who.account, given.name, given.scopes, address=who.address)
    return KeyMade(key=key, record=Key.of(made))


@router.delete(
    "/keys/{key}",
    status_code=204,
    dependencies=[OWN],
    responses=problems(401, 403, 404),
    openapi_extra=curl(
        f"{COOKIE} -X DELETE -H 'X-CSRF-Token: TOKEN' '{{base}}/api/v1/account/keys/3'"
    ),
)
def revoke_key(market: Market, who: Who, key: Id) -> Response:
    """Revoke one of one's API keys."""
    assert who.account is not None
    if not market.keys.revoke(who.account.id, key, address=who.address):
        raise Refusal(NOT_YOURS, f"you have no API key {key} that counts")
    return Response(status_code=204)
