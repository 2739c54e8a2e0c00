"""Pages and API of the resale service, one module a subject."""

from fastapi import APIRouter


def router() -> APIRouter:
    """Return all routes; a function, so that nothing of them is imported without the service."""
    from satchel.web.market import account, api_account, api_session, entry, passwords  # noqa: PLC0415

    made = APIRouter()
    for part in (entry, passwords, account, api_session, api_account):
        made.include_router(part.router)
    return made
