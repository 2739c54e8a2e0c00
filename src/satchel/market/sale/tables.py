"""The tables of the sale. `satchel.catalog.migrations` leads to exactly these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from satchel.catalog.tables import Base, now


class SaleItemRow(Base):
    """What the public pages search: one row for each listing that everybody may see.

    Written in the transaction of each step, from the listing and its product. `words` holds
    everything that a search finds, folded.
    """

    __tablename__ = "sale_items"
    __table_args__ = (
        Index("ix_sale_items_state_offered_at", "state", "offered_at"),
        Index("ix_sale_items_state_price_krw", "state", "price_krw"),
    )

    listing_id: Mapped[int] = mapped_column(ForeignKey("listings.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(200), index=True)
    brand: Mapped[str | None]
    brand_key: Mapped[str] = mapped_column(default="", index=True)
    name: Mapped[str | None]
    category: Mapped[str | None]
    colour: Mapped[str | None]
    grade: Mapped[str] = mapped_column(String(4))
    price_krw: Mapped[int] = mapped_column(BigInteger)
    words: Mapped[str]
    offered_at: Mapped[datetime] = mapped_column(default=now)
    sold_at: Mapped[datetime | None]


class ReservationRow(Base):
    """A buyer's reservation; at most one of a listing has not ended, which an index ensures."""

    __tablename__ = "reservations"
    __table_args__ = (
        Index(
            "ix_reservations_open",
            "listing_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    listing_id: Mapped[int] = mapped_column(ForeignKey("listings.id"), index=True)
    buyer_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(16))


class SavedSearchRow(Base):
    """A search of the goods on sale that an account is sent e-mails about.

    `wanted` is a `satchel.market.sale.shelf.Wanted` in JSON. Goods offered after `seen_until` are
    new. `secret` signs the link that stops the e-mails, so it is kept as it is.
    """

    __tablename__ = "saved_searches"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    wanted: Mapped[dict[str, Any]] = mapped_column(JSON)
    mails: Mapped[bool] = mapped_column(default=True)
    secret: Mapped[str] = mapped_column(String(43))
    seen_until: Mapped[datetime]
    mailed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
