"""Pages and API of the resale service, one module a subject."""

from fastapi import APIRouter


def router() -> APIRouter:
    """Return all routes; a function, so that nothing of them is imported without the service."""
    from satchel.web.market import (  # noqa: PLC0415
        account,
        admin,
        api_account,
        api_admin,
        api_desk,
        api_listings,
        api_passkeys,
        api_sale,
        api_session,
        api_webhooks,
        certificates,
        desk,
        entry,
        figures,
        identities,
        passwords,
        personal,
        sell,
        shop,
        webhooks,
    )

    made = APIRouter()
    for part in (
        account,
        admin,
        certificates,
        desk,
        entry,
        figures,
        identities,
        passwords,
        personal,
        sell,
        shop,
        webhooks,
        api_account,
        api_admin,
        api_desk,
        api_listings,
        api_passkeys,
        api_sale,
        api_session,
        api_webhooks,
    ):
        made.include_router(part.router)
    return made
