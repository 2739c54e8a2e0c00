"""Adding, changing and listing webhooks, and seeing to deliveries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.errors import UnknownWebhook, UsageError
from satchel.fetch.client import FetchClient
from satchel.market.accounts.audit import record
from satchel.market.webhooks.publish import deliver_to, queue_delivery
from satchel.market.webhooks.records import (
    EVENTS,
    EVERY,
    PING,
    By,
    Delivery,
    DeliveryState,
    Webhook,
)
from satchel.market.webhooks.signing import new_secret
from satchel.market.webhooks.tables import DeliveryRow, WebhookRow

MAX_WEBHOOKS: Final = 50
NOBODY: Final = By()


class WebhookStore:
    """The webhooks of a workspace and their deliveries. Thread-safe."""

    def __init__(self, engine: Engine, client: FetchClient) -> None:
        """Set up the store.

        Args:
            client: checks addresses that are added.
        """
        self._engine = engine
        self._client = client

    def add(self, url: str, events: Collection[str], *, by: By = NOBODY) -> Webhook:
        """Add a webhook with a secret of its own.

        Args:
            events: of `EVENTS`, or `EVERY`.

        Raises:
            UsageError: there is no such event, or there are too many webhooks.
            FetchError: nothing may be sent to this address, or its host is unknown.
        """
        wanted = _checked(events)
        self._client.check(url)
        row = {"url": url, "secret": new_secret(), "events": wanted}
        with writing(self._engine) as connection:
            if (connection.scalar(select(func.count(WebhookRow.id))) or 0) >= MAX_WEBHOOKS:
                raise UsageError(f"expected at most {MAX_WEBHOOKS} webhooks: remove one first")
            added = inserted_id(connection, insert(WebhookRow).values(**row))
            _record(connection, "add", added, by, url=url, events=wanted)
            connection.commit()
        return self.webhook(added)

    def webhook(self, webhook_id: int) -> Webhook:
        """Return one webhook.

        Raises:
            UnknownWebhook: there is none with this id.
        """
        with self._engine.connect() as connection:
            return _webhook(connection, webhook_id)

    def all(self) -> list[Webhook]:
        """Return every webhook, those that are switched off too."""
        chosen = select(WebhookRow.__table__).order_by(WebhookRow.id)
        with self._engine.connect() as connection:
            return [_of(row) for row in connection.execute(chosen)]

    def set_active(self, webhook_id: int, active: bool, *, by: By = NOBODY) -> Webhook:
        """Switch a webhook on or off; one that is switched on counts as one that never failed."""
        values = {"active": active, "failing_since": None, "disabled_because": None}
        return self._change(webhook_id, "on" if active else "off", by, **values)

    def set_events(self, webhook_id: int, events: Collection[str], *, by: By = NOBODY) -> Webhook:
        """Set the events that a webhook wants."""
        return self._change(webhook_id, "events", by, events=_checked(events))

    def replace_secret(self, webhook_id: int, *, by: By = NOBODY) -> Webhook:
        """Give a webhook a new secret, which counts from the next attempt on."""
        return self._change(webhook_id, "secret", by, secret=new_secret())

    def remove(self, webhook_id: int, *, by: By = NOBODY) -> None:
        """Delete a webhook with its deliveries; what waits is not sent."""
        with writing(self._engine) as connection:
            url = _webhook(connection, webhook_id).url
            connection.execute(delete(WebhookRow).where(WebhookRow.id == webhook_id))
            _record(connection, "remove", webhook_id, by, url=url)
            connection.commit()

    def ping(self, webhook_id: int) -> Delivery:
        """Send a trial message to a webhook."""
        with writing(self._engine) as connection:
            _webhook(connection, webhook_id)
            sent = deliver_to(connection, webhook_id, PING, {})
            connection.commit()
        return self.delivery(sent)

    def deliveries(
        self,
        webhook_id: int | None = None,
        *,
        states: Collection[DeliveryState] = tuple(DeliveryState),
        limit: int = 50,
    ) -> list[Delivery]:
        """Return the last deliveries, of one webhook or of all, the latest first."""
        chosen = select(DeliveryRow.__table__).where(DeliveryRow.state.in_(states))
        if webhook_id is not None:
            chosen = chosen.where(DeliveryRow.webhook_id == webhook_id)
        chosen = chosen.order_by(DeliveryRow.created_at.desc(), DeliveryRow.id).limit(limit)
        with self._engine.connect() as connection:
            return [_delivery(row) for row in connection.execute(chosen)]

    def delivery(self, delivery_id: str) -> Delivery:
        """Return one delivery.

        Raises:
            UnknownWebhook: there is none with this id.
        """
        with self._engine.connect() as connection:
            return _found(connection, delivery_id)

    def replay(self, delivery_id: str) -> Delivery:
        """Send a delivery again, under the same id and with the same body.

        Raises:
            UnknownWebhook: there is none with this id.
        """
        with writing(self._engine) as connection:
            _found(connection, delivery_id)
            queue_delivery(connection, delivery_id)
            connection.commit()
        return self.delivery(delivery_id)

    def _change(self, webhook_id: int, action: str, by: By, **values: Any) -> Webhook:
        with writing(self._engine) as connection:
            _webhook(connection, webhook_id)
            change = update(WebhookRow).where(WebhookRow.id == webhook_id).values(**values)
            connection.execute(change)
            _record(connection, action, webhook_id, by)
            connection.commit()
        return self.webhook(webhook_id)


def _record(connection: Connection, action: str, webhook_id: int, by: By, **details: Any) -> None:
    record(
        connection,
        f"webhook.{action}",
        by=by.account,
        subject=f"webhook:{webhook_id}",
        address=by.address,
        **details,
    )


def prune_deliveries(engine: Engine, *, before: datetime) -> int:
    """Delete deliveries that are older and wait no longer; return how many."""
    old = DeliveryRow.created_at < before, DeliveryRow.state != DeliveryState.WAITING
    with writing(engine) as connection:
        removed = connection.execute(delete(DeliveryRow).where(*old)).rowcount
        connection.commit()
    return removed


def _checked(events: Collection[str]) -> Sequence[str]:
    unknown = set(events) - {*EVENTS, EVERY}
    if unknown or not events:
        raise UsageError(
            f"expected events of {', '.join(EVENTS)}, or {EVERY} for all; got "
            f"{', '.join(sorted(unknown)) or 'none'}"
        )
    return [event for event in (*EVENTS, EVERY) if event in events]


def _webhook(connection: Connection, webhook_id: int) -> Webhook:
    chosen = select(WebhookRow.__table__).where(WebhookRow.id == webhook_id)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise UnknownWebhook(f"there is no webhook {webhook_id}")
    return _of(row)


def _found(connection: Connection, delivery_id: str) -> Delivery:
    chosen = select(DeliveryRow.__table__).where(DeliveryRow.id == delivery_id)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise UnknownWebhook(f"there is no delivery {delivery_id[:60]!r}")
    return _delivery(row)


def _of(row: Any) -> Webhook:
    return Webhook(**{**row._mapping, "events": tuple(row.events)})


def _delivery(row: Any) -> Delivery:
    return Delivery(**{**row._mapping, "state": DeliveryState(row.state)})
