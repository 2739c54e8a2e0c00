"""The table of candidates."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from satchel.catalog.tables import Base, now


class CandidateRow(Base):
    """A photo's URL that was found for a code; `state` is a `satchel.collect.records.State`.

    `source` names the list or service that named it, `query` what was searched for and `rank` the
    place among the answers, from 1. `sha256` is of the bytes that were received. `round` is 1 for
    the first search and counts up with each refill. `score` is the likeness of its thumbnail to the
    product's photos, a cosine.

    `decision` is a person's, accept or reject, on a candidate that has brought no photo; what was
    before it is a `CandidateDecisionRow`.
    """

    __tablename__ = "photo_candidates"
    __table_args__ = (
        UniqueConstraint("code", "url"),
        Index("ix_photo_candidates_state_host", "state", "host"),
        Index("ix_photo_candidates_code_state", "code", "state"),
        Index("ix_photo_candidates_sha256", "sha256"),
        Index("ix_photo_candidates_changed_at", "changed_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(200))
    url: Mapped[str]
    host: Mapped[str] = mapped_column(String(300))
    source: Mapped[str]
    query: Mapped[str | None]
    rank: Mapped[int | None]
    page: Mapped[str | None]
    license: Mapped[str | None]
    title: Mapped[str | None]
    thumbnail: Mapped[str | None]
    round: Mapped[int] = mapped_column(default=1, server_default="1")
    score: Mapped[float | None]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    decision: Mapped[str | None] = mapped_column(String(8))
    decided_by: Mapped[str | None]
    found_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)


class CandidateDecisionRow(Base):
    """A candidate that a decision of the ledger is about, and what undoing restores.

    `state_before` is null where the decision made the candidate: a move, for another code.
    """

    __tablename__ = "candidate_decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    decision_id: Mapped[int] = mapped_column(
        ForeignKey("decisions.id", ondelete="CASCADE"), index=True
    )
    candidate_id: Mapped[int] = mapped_column(
        ForeignKey("photo_candidates.id", ondelete="CASCADE"), index=True
    )
    state_before: Mapped[str | None] = mapped_column(String(16))
    reason_before: Mapped[str | None]
    decision_before: Mapped[str | None] = mapped_column(String(8))
    decided_by_before: Mapped[str | None]


class SearchRow(Base):
    """A query of a product that a source was asked: it is not asked again.

    `found` counts the candidates that were named, known ones too. `reason` says why a search
    failed; it is null where it did not.
    """

    __tablename__ = "photo_searches"
    __table_args__ = (UniqueConstraint("source", "code", "query"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    code: Mapped[str] = mapped_column(String(200))
    query: Mapped[str]
    round: Mapped[int]
    found: Mapped[int]
    reason: Mapped[str | None]
    searched_at: Mapped[datetime] = mapped_column(default=now)


class ShopPageRow(Base):
    """A page of a shop that its sitemap names; `products` counts those in its mark-up.

    `state` is waiting, read, refused or failed.
    """

    __tablename__ = "shop_pages"
    __table_args__ = (
        UniqueConstraint("shop", "url"),
        Index("ix_shop_pages_shop_state", "shop", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[str] = mapped_column(String(300))
    url: Mapped[str]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    products: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[datetime] = mapped_column(default=now)
