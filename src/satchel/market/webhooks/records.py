"""What webhooks and deliveries are, and the events that there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

PING: Final = "ping"
EVERY: Final = "*"
EVENTS: Final = (
    PING,
    *(
        f"listing.{state}"
        for state in (
            "submitted",
            "in_review",
            "photos_asked",
            "certified",
            "rejected",
            "on_sale",
            "reserved",
            "sold",
            "withdrawn",
            "returned",
        )
    ),
)
"""Every event: a trial, and each state that a listing comes into."""


class DeliveryState(StrEnum):
    """Where a delivery is; each can be sent again."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class By:
    """Who changes a webhook, for the audit log: an account, or nobody on the command line."""

    account: int | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """See `satchel.market.webhooks.tables.WebhookRow`. Times are in UTC, without a zone."""

    id: int
    url: str
    secret: str
    events: tuple[str, ...]
    active: bool
    created_at: datetime
    failing_since: datetime | None
    disabled_because: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """See `satchel.market.webhooks.tables.DeliveryRow`. Times are in UTC, without a zone."""

    id: str
    webhook_id: int
    event: str
    body: str
    state: DeliveryState
    job_id: int | None
    attempts: int
    created_at: datetime
    last_at: datetime | None
    last_status: int | None
    last_error: str | None
