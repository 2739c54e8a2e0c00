"""`/api/v1/webhooks` and `/api/v1/deliveries`: programs that are informed of what happens."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from satchel.market.roles import Role, Scope
from satchel.market.webhooks.records import EVERY, DeliveryState
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.market.state import Market, by_of
from satchel.web.threads import patient
from satchel.web.visitors import Who
from satchel.webhook_schemas import DeliveryRecord, WebhookRecord

ADMINS: Final = allow(Role.ADMIN, scope=Scope.ADMIN)
MAX_DELIVERIES: Final = 200
MAX_NUMBER: Final = 2**63 - 1

Number = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="The webhook's number.")]
DeliveryId = Annotated[str, Path(max_length=60, description="Id of the message.")]
Events = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=50)]

router = APIRouter(prefix="/api/v1", tags=["webhooks"])


class NewWebhook(BaseModel):
    """A webhook to add."""

    url: str = Field(max_length=2_000, examples=["https://accounts.example.com/satchel"])
    events: Events = Field([EVERY], description="Names of events; `*` for all.")


class WebhookChange(BaseModel):
    """What to change; what is left out stays."""

    active: bool | None = None
    events: Events | None = None
    new_secret: bool = Field(False, description="Whether to make a new secret, and give it.")


class WebhookList(BaseModel):
    """All webhooks."""

    webhooks: list[WebhookRecord]


class DeliveryList(BaseModel):
    """Some deliveries, the latest first."""

    deliveries: list[DeliveryRecord]


def _json(path: str, body: str, method: str = "POST") -> dict[str, object]:
    return curl(
        f"curl -X {method} -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' "
        f"-d '{body}' '{{base}}/api/v1/{path}'"
    )


def _plain(path: str, method: str = "GET") -> dict[str, object]:
    return curl(f"curl -X {method} -H 'Authorization: Bearer KEY' '{{base}}/api/v1/{path}'")


@router.get("/webhooks", dependencies=[ADMINS], openapi_extra=_plain("webhooks"))
def webhooks(market: Market) -> WebhookList:
    """List webhooks, those that are switched off too."""
    return WebhookList(webhooks=[WebhookRecord.of(one) for one in market.webhooks.all()])


@router.post(
    "/webhooks",
    dependencies=[ADMINS],
    status_code=201,
    responses=problems(400, 422),
    openapi_extra=_json("webhooks", '{"url": "https://example.com/hook"}'),
)
@patient
def add_webhook(market: Market, who: Who, new: NewWebhook) -> WebhookRecord:
    """Add a webhook; its secret is given this once."""
    return WebhookRecord.of(
        market.webhooks.add(new.url, new.events, by=by_of(who)), with_secret=True
    )


@router.patch(
    "/webhooks/{webhook}",
    dependencies=[ADMINS],
    responses=problems(400, 404, 422),
    openapi_extra=_json("webhooks/1", '{"active": true}', "PATCH"),
)
def change_webhook(
    market: Market, who: Who, webhook: Number, change: WebhookChange
) -> WebhookRecord:
    """Switch a webhook on or off, set its events, or give it a new secret."""
    store, by = market.webhooks, by_of(who)
    if change.events is not None:
        store.set_events(webhook, change.events, by=by)
    if change.active is not None:
        store.set_active(webhook, change.active, by=by)
    if change.new_secret:
        return WebhookRecord.of(store.replace_secret(webhook, by=by), with_secret=True)
    return WebhookRecord.of(store.webhook(webhook))


@router.delete(
    "/webhooks/{webhook}",
    dependencies=[ADMINS],
    status_code=204,
    responses=problems(404, 422),
    openapi_extra=_plain("webhooks/1", "DELETE"),
)
def remove_webhook(market: Market, who: Who, webhook: Number) -> Response:
    """Delete a webhook with its deliveries."""
    market.webhooks.remove(webhook, by=by_of(who))
    return Response(status_code=204)


@router.post(
    "/webhooks/{webhook}/ping",
    dependencies=[ADMINS],
    responses=problems(404, 422),
    openapi_extra=_plain("webhooks/1/ping", "POST"),
)
def ping_webhook(market: Market, webhook: Number) -> DeliveryRecord:
    """Send a trial message."""
    return DeliveryRecord.of(market.webhooks.ping(webhook))


@router.get(
    "/deliveries",
    dependencies=[ADMINS],
    responses=problems(422),
    openapi_extra=_plain("deliveries?webhook=1"),
)
def deliveries(
    market: Market,
    webhook: Annotated[
        int | None, Query(ge=0, le=MAX_NUMBER, description="Only of this webhook.")
    ] = None,
    state: Annotated[DeliveryState | None, Query(description="Only in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_DELIVERIES, description="Deliveries given.")] = 50,
) -> DeliveryList:
    """List what was sent and what is to be sent."""
    states = tuple(DeliveryState) if state is None else (state,)
    found = market.webhooks.deliveries(webhook, states=states, limit=limit)
    return DeliveryList(deliveries=[DeliveryRecord.of(one) for one in found])


@router.post(
    "/deliveries/{delivery}/replay",
    dependencies=[ADMINS],
    responses=problems(404, 422),
    openapi_extra=_plain("deliveries/msg_1/replay", "POST"),
)
def replay_delivery(market: Market, delivery: DeliveryId) -> DeliveryRecord:
    """Send a message again, under the same id."""
    return DeliveryRecord.of(market.webhooks.replay(delivery))
