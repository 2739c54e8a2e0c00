"""The tables of the expert's desk. `satchel.catalog.migrations` leads to exactly these."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from satchel.catalog.tables import Base, now


class OpinionRow(Base):
    """What an expert decided; rows are only ever added, which triggers of the database ensure.

    `seller_code` and `machine` are what seller and identification had said by then; `space` is the
    embedding space that identified. An opinion counts while it is of the listing's current `round`.
    """

    __tablename__ = "opinions"

    id: Mapped[int] = mapped_column(primary_key=True)
    listing_id: Mapped[int] = mapped_column(ForeignKey("listings.id"), index=True)
    round: Mapped[int]
    expert_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(200), index=True)
    seller_code: Mapped[str | None] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(default="")
    photos_asked: Mapped[list[str] | None] = mapped_column(JSON)
    machine: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    space: Mapped[str | None] = mapped_column(String(64))
    seconds: Mapped[float]
    at: Mapped[datetime] = mapped_column(default=now, index=True)


class CertificateRow(Base):
    """A certificate, as it was issued: what was certified, with which photos, by whom.

    `product` is the product as the catalogue had it; `photos` are SHA-256. `superseded_at` is when
    its seller revised the listing, which may then show another good.
    """

    __tablename__ = "certificates"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    listing_id: Mapped[int] = mapped_column(ForeignKey("listings.id"), index=True)
    code: Mapped[str] = mapped_column(String(200))
    product: Mapped[dict[str, Any]] = mapped_column(JSON)
    grade: Mapped[str] = mapped_column(String(4))
    photos: Mapped[list[str]] = mapped_column(JSON)
    experts: Mapped[list[int]] = mapped_column(JSON)
    issued_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    revoked_why: Mapped[str | None]
    superseded_at: Mapped[datetime | None]


HOLDS: Final = CertificateRow.revoked_at.is_(None) & CertificateRow.superseded_at.is_(None)
"""The condition that a certificate holds, as `satchel.market.desk.records.Certificate.holds`."""
