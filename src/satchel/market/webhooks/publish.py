"""Writing the deliveries of an event, in the event's own transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from satchel.jobs.queue import enqueue
from satchel.jobs.records import Backoff
from satchel.market.webhooks.records import EVERY
from satchel.market.webhooks.tables import DeliveryRow, WebhookRow

KIND: Final = "webhook"
MAX_ATTEMPTS: Final = 10
BACKOFF: Final = Backoff(first_s=30, factor=3, longest_s=6 * 60 * 60)
"""After 30 s, 90 s, 4.5, 13.5 and 40 minutes, 2 hours, then every 6: about 24 hours in all."""


def publish(connection: Connection, event: str, data: Mapping[str, Any]) -> int:
    """Let every webhook that wants an event have it, if the caller's transaction is committed.

    Args:
        connection: with a transaction that writes.
        event: one of `EVENTS`.
        data: what happened, as JSON: nothing that the receiver may not see.

    Returns:
        to how many webhooks it will be sent.
    """
    rows = connection.execute(
        select(WebhookRow.id, WebhookRow.events).where(WebhookRow.active)
    ).all()
    wanted = [row.id for row in rows if event in row.events or EVERY in row.events]
    for webhook_id in wanted:
        deliver_to(connection, webhook_id, event, data)
    return len(wanted)


def deliver_to(connection: Connection, webhook_id: int, event: str, data: Mapping[str, Any]) -> str:
    """Write one delivery and its job; return the delivery's id."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"type": event, "timestamp": at, "data": dict(data)}
    delivery_id = f"msg_{uuid.uuid4().hex}"
    row = {
        "id": delivery_id,
        "webhook_id": webhook_id,
        "event": event,
        "body": json.dumps(message, ensure_ascii=False, separators=(",", ":")),
    }
    connection.execute(insert(DeliveryRow).values(**row))
    queue_delivery(connection, delivery_id)
    return delivery_id


def queue_delivery(connection: Connection, delivery_id: str) -> None:
    """Let a job send a delivery that is written, for the first time or again."""
    job = enqueue(
        connection,
        KIND,
        {"delivery": delivery_id},
        unique_key=f"{KIND}:{delivery_id}",
        max_attempts=MAX_ATTEMPTS,
    )
    fresh = {"state": "waiting", "job_id": job}
    connection.execute(update(DeliveryRow).where(DeliveryRow.id == delivery_id).values(**fresh))
