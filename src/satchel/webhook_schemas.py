"""Webhooks and deliveries → JSON, for the command line and the HTTP API alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from satchel.market.webhooks import records
from satchel.market.webhooks.records import DeliveryState


class WebhookRecord(BaseModel):
    """An address that is informed of events."""

    webhook: int = Field(description="Its number.", examples=[1])
    url: str
    events: list[str] = Field(examples=[["listing.certified", "listing.sold"]])
    active: bool
    secret: str | None = Field(
        None, description="Signs what is sent; given only when it is made.", examples=["whsec_…"]
    )
    created_at: datetime = Field(description="UTC.")
    failing_since: datetime | None = Field(description="First failure since the last success.")
    disabled_because: str | None = Field(description="Why nothing is sent any more.")

    @classmethod
    def of(cls, hook: records.Webhook, *, with_secret: bool = False) -> Self:
        """Convert a webhook."""
        return cls(
            webhook=hook.id,
            url=hook.url,
            events=list(hook.events),
            active=hook.active,
            secret=hook.secret if with_secret else None,
            created_at=_utc(hook.created_at),
            failing_since=hook.failing_since and _utc(hook.failing_since),
            disabled_because=hook.disabled_because,
        )


class DeliveryRecord(BaseModel):
    """One event for one webhook."""

    delivery: str = Field(description="Id of the message, the header webhook-id.")
    webhook: int
    event: str = Field(examples=["listing.sold"])
    state: DeliveryState
    attempts: int = Field(description="How often it was sent.")
    message: dict[str, Any] = Field(description="The body.")
    job: int | None = Field(description="Of the worker, which says when it is sent again.")
    created_at: datetime = Field(description="UTC.")
    last_at: datetime | None = Field(description="UTC; of the last attempt.")
    last_status: int | None = Field(description="HTTP status of the last answer.")
    last_error: str | None

    @classmethod
    def of(cls, one: records.Delivery) -> Self:
        """Convert a delivery."""
        return cls(
            delivery=one.id,
            webhook=one.webhook_id,
            event=one.event,
            state=one.state,
            attempts=one.attempts,
            message=json.loads(one.body),
            job=one.job_id,
            created_at=_utc(one.created_at),
            last_at=one.last_at and _utc(one.last_at),
            last_status=one.last_status,
            last_error=one.last_error,
        )


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC, microsecond=0)
