"""Pages and API of the resale service, one module a subject."""

from fastapi import APIRouter


def router() -> APIRouter:
    """Return all routes; a function, so that nothing of them is imported without the service."""
    from satchel.web.market import (  # noqa: PLC0415
        account,
        api_account,
        api_desk,
        api_listings,
        api_sale,
        api_session,
        entry,
        passwords,
    )

    made = APIRouter()
    parts = (entry, passwords, account, api_session, api_account, api_listings, api_desk, api_sale)
    for part in parts:
        made.include_router(part.router)
    return made
