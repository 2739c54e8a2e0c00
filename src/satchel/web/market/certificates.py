"""`/certificates`: everybody verifies a certificate by its number; an admin revokes it."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

import segno
from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from satchel.errors import StateConflict, UnknownListing, UsageError
from satchel.market.desk.decisions import MAX_TEXT_CHARS
from satchel.market.desk.records import Certificate
from satchel.market.roles import Role
from satchel.web.access import EVERYBODY, allow
from satchel.web.languages import chosen_language
from satchel.web.market.api_desk import Number
from satchel.web.market.api_listings import actor_of
from satchel.web.market.certificate_pdf import PHOTO_PX, PHOTOS, certificate_pdf
from satchel.web.market.state import Market, MarketState
from satchel.web.pages.rendering import pages_of
from satchel.web.threads import patient
from satchel.web.visitors import Who

PATH: Final = "/certificates"

router = APIRouter(prefix=PATH, include_in_schema=False, default_response_class=HTMLResponse)


@router.get("", dependencies=[EVERYBODY])
def find(
    request: Request, market: Market, number: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Ask for a certificate's number, and lead to it."""
    wanted = number.strip().removesuffix("/").rpartition("/")[2]  # its address does as well
    if wanted:
        try:
            found = market.goods.decisions.certificate(wanted)
            return RedirectResponse(certificate_page(found.public_id), 303)
        except UnknownListing:
            pass
    status = 404 if wanted else 200
    return pages_of(request).render(request, "market/verify.html", status, wanted=number)


@router.get("/{number}.pdf", dependencies=[EVERYBODY])
@patient
def pdf(request: Request, market: Market, number: Number) -> Response:
    """Give a certificate as a page to print."""
    found = market.goods.decisions.certificate(number)
    photos = [
        market.small(market.public_photos.read(sha), PHOTO_PX) for sha in found.photos[:PHOTOS]
    ]
    data = certificate_pdf(found, photos, address(market, found), chosen_language(request))
    headers = {
        "Content-Disposition": f'inline; filename="certificate-{found.public_id}.pdf"',
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Language, Cookie",
    }
    return Response(data, media_type="application/pdf", headers=headers)


@router.get("/{number}", dependencies=[EVERYBODY])
def show(request: Request, market: Market, number: Number) -> Response:
    """Show a certificate, and whether it holds."""
    return _page(request, market, market.goods.decisions.certificate(number))


@router.post("/{number}/revoke", dependencies=[allow(Role.ADMIN)])
def revoke(
    request: Request,
    market: Market,
    who: Who,
    number: Number,
    why: Annotated[str, Form(max_length=MAX_TEXT_CHARS)] = "",
) -> Response:
    """Revoke a certificate."""
    try:
        market.goods.decisions.revoke(number, actor_of(who), why)
    except StateConflict as error:
        found = market.goods.decisions.certificate(number)
        return _page(request, market, found, 409, fault=error.state)
    except UsageError:
        found = market.goods.decisions.certificate(number)
        return _page(request, market, found, 422, fault="why")
    return RedirectResponse(certificate_page(number), 303)


def certificate_page(number: str) -> str:
    """Address of a certificate's page."""
    return f"{PATH}/{quote(number, safe='')}"


def address(market: MarketState, certificate: Certificate) -> str:
    """Where everybody verifies a certificate, as its QR code says."""
    return f"{market.settings.url}{certificate_page(certificate.public_id)}"


def _page(
    request: Request,
    market: MarketState,
    certificate: Certificate,
    status: int = 200,
    *,
    fault: str | None = None,
) -> Response:
    where = address(market, certificate)
    drawn = segno.make_qr(where, error="m").svg_inline(border=2, light="#fff", omitsize=True)
    values: dict[str, Any] = {
        "certificate": certificate,
        "address": where,
        "qr": Markup(drawn),  # noqa: S704 - drawn by segno from an address of ours
        "fault": fault,
    }
    return pages_of(request).render(request, "market/certificate.html", status, **values)
