"""Pages and API of the resale service, one module a subject."""

from fastapi import APIRouter


def router() -> APIRouter:
    """Return all routes; a function, so that nothing of them is imported without the service."""
    from satchel.web.market import (  # noqa: PLC0415
        account,
        api_account,
        api_desk,
        api_listings,
        api_passkeys,
        api_sale,
        api_session,
        api_webhooks,
        entry,
        identities,
        passwords,
        webhooks,
    )

    made = APIRouter()
    pages = entry, passwords, identities, account, webhooks
    apis = api_session, api_account, api_passkeys, api_listings, api_desk, api_sale, api_webhooks
    for part in (*pages, *apis):
        made.include_router(part.router)
    return made
