"""`/api/v1/passkeys`: register, list and remove passkeys, and log in by one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from satchel.errors import AccountError, UploadExpired
from satchel.market.accounts.passkeys import Challenge
from satchel.market.accounts.passkeys import Passkey as Stored
from satchel.market.accounts.secret import derived
from satchel.market.accounts.store import MAX_NAME_CHARS
from satchel.web.access import EVERYBODY
from satchel.web.api.openapi import curl, problems
from satchel.web.kept import MAX_TOKEN_CHARS
from satchel.web.market.account import MOST_ID, OWN, RECENT
from satchel.web.market.api_account import NOT_YOURS, READ
from satchel.web.market.logging_in import log_in
from satchel.web.market.schemas import Account, LoggedIn, Time
from satchel.web.market.state import Market, MarketState
from satchel.web.problems import Refusal
from satchel.web.visitors import CSRF, Visitor, Who, give_cookie

CHALLENGE_BYTES: Final = 1

router = APIRouter(prefix="/api/v1", tags=["accounts"])


class Options(BaseModel):
    """What `navigator.credentials` is to be asked."""

    token: str = Field(description="Goes back with the browser's answer; for ten minutes.")
    options: dict[str, Any] = Field(description="`publicKey`, as JSON (WebAuthn, section 5.1.8).")


class Answered(BaseModel):
    """The browser's answer."""

    token: str = Field(max_length=MAX_TOKEN_CHARS, description="Of the options.")
    credential: dict[str, Any] = Field(description="`PublicKeyCredential.toJSON()`.")


class NewPasskey(Answered):
    """The browser's answer, and a name."""

    name: str = Field("", max_length=MAX_NAME_CHARS, description="To know the passkey by.")


class Passkey(BaseModel):
    """A passkey."""

    id: int
    name: str
    created_at: Time
    last_used_at: Time | None

    @classmethod
    def of(cls, stored: Stored) -> Passkey:
        """Convert a record."""
        used: datetime | None = stored.last_used_at
        return cls(id=stored.id, name=stored.name, created_at=stored.created_at, last_used_at=used)


class Passkeys(BaseModel):
    """The passkeys of an account, the newest first."""

    passkeys: list[Passkey]


def _example(path: str) -> dict[str, object]:
    return curl(f"curl -b cookies.txt -X POST -H 'X-CSRF-Token: TOKEN' '{{base}}/api/v1{path}'")


@router.post(
    "/passkeys/options",
    dependencies=[RECENT],
    responses=problems(401, 403),
    openapi_extra=_example("/passkeys/options"),
)
def registration_options(market: Market, who: Who) -> Options:
    """Ask for a new passkey. Needs a log-in within the last half hour."""
    assert who.account is not None
    return _options(market, who, market.passkeys.registration(who.account))


@router.post(
    "/passkeys",
    status_code=201,
    dependencies=[RECENT],
    responses=problems(401, 403, 422),
    openapi_extra=_example("/passkeys"),
)
def add_passkey(market: Market, who: Who, given: NewPasskey) -> Passkey:
    """Keep a new passkey."""
    assert who.account is not None
    made = market.passkeys.register(
        who.account,
        _challenge(market, who, given.token),
        given.credential,
        name=given.name,
        address=who.address,
    )
    return Passkey.of(made)


@router.get(
    "/passkeys",
    dependencies=[READ],
    responses=problems(401, 403),
    openapi_extra=curl("curl -b cookies.txt '{base}/api/v1/passkeys'"),
)
def passkeys(market: Market, who: Who) -> Passkeys:
    """List one's passkeys."""
    assert who.account is not None
    return Passkeys(passkeys=[Passkey.of(one) for one in market.passkeys.of(who.account.id)])


@router.delete(
    "/passkeys/{passkey}",
    status_code=204,
    dependencies=[OWN],
    responses=problems(401, 403, 404),
    openapi_extra=curl(
        "curl -b cookies.txt -X DELETE -H 'X-CSRF-Token: TOKEN' '{base}/api/v1/passkeys/3'"
    ),
)
def remove_passkey(
    market: Market, who: Who, passkey: Annotated[int, Path(ge=0, le=MOST_ID)]
) -> Response:
    """Remove one of one's passkeys."""
    assert who.account is not None
    if not market.passkeys.remove(who.account.id, passkey, address=who.address):
        raise Refusal(NOT_YOURS, f"you have no passkey {passkey}")
    return Response(status_code=204)


@router.post(
    "/session/passkey/options",
    dependencies=[EVERYBODY],
    responses=problems(429),
    openapi_extra=curl("curl -c cookies.txt -X POST '{base}/api/v1/session/passkey/options'"),
)
def log_in_options(request: Request, response: Response, market: Market, who: Who) -> Options:
    """Ask for a passkey to log in by; the answer is taken from the same browser."""
    market.rates.begin(who.address)
    if who.fresh:
        give_cookie(request, response, who.secret)
    return _options(market, who, market.passkeys.authentication())


@router.post(
    "/session/passkey",
    dependencies=[EVERYBODY],
    responses=problems(401, 422, 429),
    openapi_extra=curl(
        "curl -b cookies.txt -H 'Content-Type: application/json' "
        '-d \'{"token": "…", "credential": {}}\' \'{base}/api/v1/session/passkey\''
    ),
)
def log_in_by_passkey(
    request: Request, response: Response, market: Market, who: Who, given: Answered
) -> LoggedIn:
    """Log in by a passkey: as by password."""
    market.rates.begin(who.address)
    challenge = _challenge(market, who, given.token)
    account = market.passkeys.check(challenge, given.credential, address=who.address)
    token = log_in(request, market, who, account, response, way="passkey")
    return LoggedIn(account=Account.of(account), csrf_token=derived(token, CSRF))


def _options(market: MarketState, who: Visitor, asked: Challenge) -> Options:
    token = market.challenges.put(who.secret, asked.challenge, CHALLENGE_BYTES)
    assert token is not None
    return Options(token=token, options=dict(asked.options))


def _challenge(market: MarketState, who: Visitor, token: str) -> bytes:
    """Return the challenge of a token, once."""
    try:
        return market.challenges.take(who.secret, token)
    except UploadExpired:
        raise AccountError(
            "expected an answer within ten minutes, in the browser that asked; begin again", "flow"
        ) from None
