"""Tables of webhooks and of what is sent to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from satchel.catalog.tables import Base, now


class WebhookRow(Base):
    """An address that is informed of some events.

    `secret` signs what is sent, so it is kept as it is. `failing_since` is the first failure since
    the last success; `disabled_because` says why nothing is sent any more, null if a person said
    so.
    """

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(String(2_000))
    secret: Mapped[str] = mapped_column(String(100))
    events: Mapped[list[str]] = mapped_column(JSON)
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    failing_since: Mapped[datetime | None]
    disabled_because: Mapped[str | None]


class DeliveryRow(Base):
    """One event for one webhook. `id` is the message's id, `body` the bytes that are signed.

    `state` is a `satchel.market.webhooks.records.DeliveryState`; `job_id` the job that sends it.
    """

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_webhook_id_created_at", "webhook_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(64))
    body: Mapped[str]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    job_id: Mapped[int | None]
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
