"""The tables of listings. `satchel.catalog.migrations` leads to exactly these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from satchel.catalog.tables import Base, now


class ListingRow(Base):
    """A good that somebody wants to sell.

    `version` counts every change, so that two people never write over each other; `round` how often
    it was revised after a refusal, so that earlier opinions no longer count. `machine` is the
    last answer of identification, `proposed` what the seller says of a product that is missing in
    the catalogue. The claim is a lease of one expert.
    """

    __tablename__ = "listings"
    __table_args__ = (Index("ix_listings_state_submitted_at", "state", "submitted_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    seller_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="draft")
    version: Mapped[int] = mapped_column(default=1)
    round: Mapped[int] = mapped_column(default=1)
    code: Mapped[str | None] = mapped_column(String(200), index=True)
    proposed: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    grade: Mapped[str | None] = mapped_column(String(4))
    defects: Mapped[str] = mapped_column(default="")
    size: Mapped[str] = mapped_column(default="")
    text: Mapped[str] = mapped_column(default="")
    price_krw: Mapped[int | None] = mapped_column(BigInteger)
    consent_gallery: Mapped[bool] = mapped_column(default=False)
    machine: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    claimed_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)
    submitted_at: Mapped[datetime | None]


class ListingPhotoRow(Base):
    """A photo of a listing: clean JPEG bytes in the market's photo store, under their SHA-256.

    `upload` is the client's name of the upload, by which one that is sent twice is stored once;
    `hash` is perceptual, to find the photo elsewhere; `asked` what an expert wanted it to show.
    """

    __tablename__ = "listing_photos"
    __table_args__ = (
        UniqueConstraint("listing_id", "upload"),
        UniqueConstraint("listing_id", "sha256"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    listing_id: Mapped[int] = mapped_column(ForeignKey("listings.id", ondelete="CASCADE"))
    upload: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    position: Mapped[int]
    box: Mapped[list[float] | None] = mapped_column(JSON)
    asked: Mapped[str | None] = mapped_column(String(200))
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    added_at: Mapped[datetime] = mapped_column(default=now)


class PhotoReadingRow(Base):
    """What is written on a photo of a listing; there is none for a photo that was not read yet.

    `texts` are those of `satchel.reading.records.ReadText`; codes are found in them when they are
    shown, in the catalogue as it is then. `fault` says why the photo cannot be read.
    """

    __tablename__ = "photo_readings"

    photo_id: Mapped[int] = mapped_column(
        ForeignKey("listing_photos.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    texts: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    fault: Mapped[str | None]
    read_at: Mapped[datetime] = mapped_column(default=now)


class ListingEventRow(Base):
    """What happened to a listing; rows are only ever added, which triggers of the database ensure.

    `from_state` and `to_state` are equal where nothing but fields changed.
    """

    __tablename__ = "listing_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    listing_id: Mapped[int] = mapped_column(ForeignKey("listings.id"), index=True)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    kind: Mapped[str] = mapped_column(String(32))
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    at: Mapped[datetime] = mapped_column(default=now)
