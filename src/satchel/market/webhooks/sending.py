"""Sending deliveries, as jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import now
from satchel.errors import FetchError
from satchel.fetch.client import FetchClient
from satchel.jobs.records import Arguments, GiveUp, Job, Lease
from satchel.market.webhooks.records import DeliveryState
from satchel.market.webhooks.signing import headers
from satchel.market.webhooks.tables import DeliveryRow, WebhookRow

FAILING: Final = timedelta(days=5)
"""After so long without a success a webhook is switched off."""

GONE: Final = 410
"""Status by which a receiver says that it wants nothing any more."""

MOST_SHOWN: Final = 300


class Sender:
    """Handler of the jobs that `publish` adds: sends a delivery and records what came of it."""

    def __init__(self, engine: Engine, client: FetchClient) -> None:
        self._engine = engine
        self._client = client

    def run(self, lease: Lease, arguments: Arguments) -> Arguments:
        """Send one delivery.

        Raises:
            FetchError: it was not taken; it is to be sent again.
            GiveUp: the webhook is gone or switched off.
        """
        delivery_id = str(arguments["delivery"])
        row = self._read(delivery_id)
        if row is None:
            raise GiveUp("the webhook was deleted")
        if row.state == DeliveryState.DELIVERED:
            return {"status": row.last_status}  # its worker was killed after it had sent it
        if not row.active:
            self._record(row, lease.job, None, "the webhook is switched off", over=True)
            raise GiveUp("the webhook is switched off")
        status, error = self._post(row)
        self._record(row, lease.job, status, error)
        if status == GONE:
            raise GiveUp(str(error))
        if error is not None:
            raise FetchError(error)
        return {"status": status}

    def _read(self, delivery_id: str) -> Any:
        chosen = (
            select(DeliveryRow.__table__, WebhookRow.url, WebhookRow.secret, WebhookRow.active)
            .join(WebhookRow, WebhookRow.id == DeliveryRow.webhook_id)
            .where(DeliveryRow.id == delivery_id)
        )
        with self._engine.connect() as connection:
            return connection.execute(chosen).one_or_none()

    def _post(self, row: Any) -> tuple[int | None, str | None]:
        """Send; return the status of the answer, and why it counts as a failure."""
        body = row.body.encode()
        signed = headers(row.secret, row.id, int(time.time()), body)
        try:
            answer = self._client.request("POST", row.url, headers=signed, content=body)
        except FetchError as error:
            return None, str(error)
        if 200 <= answer.status < 300:
            return answer.status, None
        said = answer.body.decode(errors="replace").strip()[:MOST_SHOWN]
        return answer.status, f"answered {answer.status}" + (f": {said}" if said else "")

    def _record(
        self, row: Any, job: Job, status: int | None, error: str | None, *, over: bool = False
    ) -> None:
        """Record an attempt with its delivery, and how the webhook does."""
        if error is None:
            state = DeliveryState.DELIVERED
        elif over or status == GONE or job.attempts >= job.max_attempts:
            state = DeliveryState.FAILED
        else:
            state = DeliveryState.WAITING
        at = now()
        attempt = {
            "state": state,
            "attempts": row.attempts + 1,
            "last_at": at,
            "last_status": status,
            "last_error": error,
        }
        with writing(self._engine) as connection:
            connection.execute(
                update(DeliveryRow).where(DeliveryRow.id == row.id).values(**attempt)
            )
            if not over:
                _record_health(connection, row.webhook_id, at, status, error)
            connection.commit()


def _record_health(
    connection: Connection, webhook_id: int, at: datetime, status: int | None, error: str | None
) -> None:
    """Note since when a webhook fails, and switch off one that has for long or is gone."""
    since = connection.scalar(select(WebhookRow.failing_since).where(WebhookRow.id == webhook_id))
    change: Mapping[str, Any]
    if error is None:
        change = {"failing_since": None}
    elif status == GONE:
        change = {"active": False, "disabled_because": "the receiver says that it is gone (410)"}
    elif since is not None and at - since >= FAILING:
        why = f"nothing was taken since {since:%Y-%m-%d %H:%M} UTC; the last error: {error}"
        change = {"active": False, "disabled_because": why}
    else:
        change = {"failing_since": since or at}
    connection.execute(update(WebhookRow).where(WebhookRow.id == webhook_id).values(**change))
