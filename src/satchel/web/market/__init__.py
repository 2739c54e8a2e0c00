"""Pages and API of the resale service, one module a subject."""

from importlib import import_module
from typing import Final

from fastapi import APIRouter

PAGES: Final = (
    "account",
    "admin",
    "certificates",
    "desk",
    "desk_assign",
    "entry",
    "figures",
    "identities",
    "passwords",
    "personal",
    "readings",
    "searches",
    "sell",
    "similar",
    "shop",
    "terms",
    "webhooks",
)
APIS: Final = (
    "api_account",
    "api_admin",
    "api_desk",
    "api_listings",
    "api_passkeys",
    "api_regions",
    "api_sale",
    "api_searches",
    "api_session",
    "api_webhooks",
)


def routers() -> list[APIRouter]:
    """Return all routes; a function, so that nothing of them is imported without the service."""
    return [import_module(f"{__name__}.{name}").router for name in (*PAGES, *APIS)]
