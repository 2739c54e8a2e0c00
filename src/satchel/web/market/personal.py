"""A person's own data: all of it as an archive, and the deletion of the account."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import UsageError
from satchel.market.privacy.personal import delete_account, export_data
from satchel.market.roles import Role
from satchel.web.access import allow
from satchel.web.api.openapi import problems
from satchel.web.market.forms import Email
from satchel.web.market.schemas import Body
from satchel.web.market.state import Market, MarketState
from satchel.web.threads import patient
from satchel.web.visitors import Visitor, Who, take_cookie

IN_MEMORY: Final = 8_000_000
"""Bytes of an archive that are held in memory; the rest is in a temporary file."""
CHUNK: Final = 64 * 1024
ZIP: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/zip": {}}, "description": "The archive."}
}

LEAVING: Final = allow(Role.SELLER, recent=True, before_terms=True)
"""Who does not accept new terms may still take their data and go."""

router = APIRouter()


class Deleting(Body):
    """Deletion of one's own account."""

    email: Email


@router.get("/account/data", include_in_schema=False, dependencies=[LEAVING])
@patient
def own_data(market: Market, who: Who) -> Response:
    """Give everything about one's account, as an archive."""
    return _archive(market, who)


@router.post(
    "/account/delete",
    include_in_schema=False,
    response_class=HTMLResponse,
    dependencies=[LEAVING],
)
@patient
def delete_own(
    request: Request, market: Market, who: Who, email: Annotated[Email, Form()] = ""
) -> Response:
    """Delete one's account."""
    _delete(market, who, email)
    response = RedirectResponse("/", 303)
    take_cookie(request, response)
    return response


@router.get(
    "/api/v1/account/data",
    tags=["accounts"],
    dependencies=[LEAVING],
    response_class=StreamingResponse,
    responses={**ZIP, **problems(401, 403)},
)
@patient
def account_data(market: Market, who: Who) -> Response:
    """Give everything about one's account as a ZIP: `data.json`, and photos of one's listings.

    Needs a log-in within the last half hour.
    """
    return _archive(market, who)


@router.post(
    "/api/v1/account/delete",
    tags=["accounts"],
    status_code=204,
    dependencies=[LEAVING],
    responses=problems(400, 401, 403, 409, 422),
)
@patient
def delete_account_over_http(market: Market, who: Who, given: Deleting) -> Response:
    """Delete one's account; its e-mail address confirms it.

    Goods on sale are withdrawn. Of certified goods an anonymous record stays. Needs a log-in within
    the last half hour.
    """
    _delete(market, who, given.email)
    return Response(status_code=204)


def _archive(market: MarketState, who: Visitor) -> Response:
    assert who.account is not None
    out = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed once it is sent
    export_data(market.engine, market.photos.store, who.account.id, out)
    out.seek(0)

    def chunks() -> Iterator[bytes]:
        with out:
            while chunk := out.read(CHUNK):
                yield chunk

    headers = {
        "Content-Disposition": 'attachment; filename="satchel-account.zip"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(chunks(), media_type="application/zip", headers=headers)


def _delete(market: MarketState, who: Visitor, email: str) -> None:
    """Delete an account, and the files that nobody shows any more.

    Raises:
        UsageError: the address is another one.
        StateConflict: somebody waits for one of its listings.
    """
    assert who.account is not None
    if email.strip().lower() != who.account.email:
        raise UsageError(
            f"expected this account's e-mail address, {who.account.email}, to confirm the deletion"
        )
    outbox = market.goods.listings.outbox
    removed = delete_account(market.engine, who.account.id, address=who.address, outbox=outbox)
    for sha256 in removed:
        if market.photos.forget(sha256):
            market.public_photos.forget(sha256)
