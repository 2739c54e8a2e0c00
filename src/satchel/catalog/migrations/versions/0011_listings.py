"""Listings, opinions of experts, certificates, and goods on sale."""

import sqlalchemy as sa
from alembic import op

from satchel.catalog.dialect import append_only

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the tables of the market; what happened and what was decided refuses changes."""
    _create_listings()
    _create_desk()
    _create_sale()
    for table in ("listing_events", "opinions"):
        for statement in append_only(table):
            op.execute(statement)


def _create_listings() -> None:
    op.create_table(
        "listings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        _account("seller_id"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("code", sa.String(200), index=True),
        sa.Column("proposed", sa.JSON),
        sa.Column("grade", sa.String(4)),
        *(sa.Column(name, sa.String, nullable=False) for name in ("defects", "size", "text")),
        sa.Column("price_krw", sa.BigInteger),
        sa.Column("consent_gallery", sa.Boolean, nullable=False),
        sa.Column("machine", sa.JSON),
        _account("claimed_by", nullable=True),
        sa.Column("claimed_until", sa.DateTime),
        *(sa.Column(name, sa.DateTime, nullable=False) for name in ("created_at", "changed_at")),
        sa.Column("submitted_at", sa.DateTime),
        sa.Index("ix_listings_state_submitted_at", "state", "submitted_at"),
    )
    op.create_table(
        "listing_photos",
        sa.Column("id", sa.Integer, primary_key=True),
        _listing(index=False, ondelete="CASCADE"),
        sa.Column("upload", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, index=True),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("width", "height", "size_bytes", "position")
        ),
        sa.Column("box", sa.JSON),
        sa.Column("asked", sa.String(200)),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("listing_id", "upload"),
        sa.UniqueConstraint("listing_id", "sha256"),
    )
    op.create_table(
        "listing_events",
        sa.Column("id", sa.Integer, primary_key=True),
        _listing(),
        _account("actor_id", nullable=True, index=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("from_state", sa.String(16)),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )


def _create_desk() -> None:
    op.create_table(
        "opinions",
        sa.Column("id", sa.Integer, primary_key=True),
        _listing(),
        sa.Column("round", sa.Integer, nullable=False),
        _account("expert_id"),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("code", sa.String(200), index=True),
        sa.Column("seller_code", sa.String(200)),
        sa.Column("reason", sa.String(32)),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("photos_asked", sa.JSON),
        sa.Column("machine", sa.JSON),
        sa.Column("space", sa.String(64)),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False, index=True),
    )
    op.create_table(
        "certificates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        _listing(),
        sa.Column("code", sa.String(200), nullable=False),
        sa.Column("product", sa.JSON, nullable=False),
        sa.Column("grade", sa.String(4), nullable=False),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("photos", "experts")),
        sa.Column("issued_at", sa.DateTime, nullable=False),
        sa.Column("revoked_at", sa.DateTime),
        _account("revoked_by", nullable=True, index=False),
        sa.Column("revoked_why", sa.String),
    )


def _create_sale() -> None:
    op.create_table(
        "sale_items",
        sa.Column("listing_id", sa.Integer, sa.ForeignKey("listings.id"), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("code", sa.String(200), nullable=False, index=True),
        sa.Column("brand", sa.String),
        sa.Column("brand_key", sa.String, nullable=False, index=True),
        *(sa.Column(name, sa.String) for name in ("name", "category", "colour")),
        sa.Column("grade", sa.String(4), nullable=False),
        sa.Column("price_krw", sa.BigInteger, nullable=False),
        sa.Column("words", sa.String, nullable=False),
        sa.Column("offered_at", sa.DateTime, nullable=False),
        sa.Column("sold_at", sa.DateTime),
        sa.Index("ix_sale_items_state_offered_at", "state", "offered_at"),
        sa.Index("ix_sale_items_state_price_krw", "state", "price_krw"),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer, primary_key=True),
        _listing(),
        _account("buyer_id"),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("outcome", sa.String(16)),
    )
    op.create_index(
        "ix_reservations_open",
        "reservations",
        ["listing_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _account(name: str, *, nullable: bool = False, index: bool = True) -> sa.Column[int]:
    return sa.Column(
        name, sa.Integer, sa.ForeignKey("accounts.id"), nullable=nullable, index=index or None
    )


def _listing(*, index: bool = True, ondelete: str | None = None) -> sa.Column[int]:
    return sa.Column(
        "listing_id",
        sa.Integer,
        sa.ForeignKey("listings.id", ondelete=ondelete),
        nullable=False,
        index=index or None,
    )
