"""The first schema: catalogue, embeddings, curation, look-alikes and decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    _create_catalogue()
    _create_measurements()
    _create_look_alikes()
    _create_decisions()
    revisions = op.create_table(
        "revision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.bulk_insert(revisions, [{"id": 1, "value": 0}])


def _create_catalogue() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("code", sa.String(200), nullable=False, unique=True),
        *(sa.Column(name, sa.String) for name in ("brand", "name", "category", "colour", "size")),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "photos",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("width", "height", "size_bytes")
        ),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "photo_sources",
        sa.Column("source_sha256", sa.String(64), primary_key=True),
        _reference("photo_id", "photos", index=True),
    )
    op.create_table(
        "product_photos",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("product_id", "products"),
        _reference("photo_id", "photos", index=True),
        *(sa.Column(name, sa.String) for name in ("role", "source", "license")),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, server_default="kept", index=True),
        sa.Column("reasons", sa.JSON, nullable=False, server_default="[]"),
        sa.UniqueConstraint("product_id", "photo_id"),
    )


def _create_measurements() -> None:
    op.create_table(
        "vectors",
        sa.Column("encoder", sa.String(64), primary_key=True),
        _reference("photo_id", "photos", primary_key=True),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        *(sa.Column(n, sa.LargeBinary, nullable=False) for n in ("vector", "whole", "colours")),
        sa.Column("patches", sa.LargeBinary),
    )
    op.create_table(
        "photo_figures",
        _reference("photo_id", "photos", primary_key=True),
        sa.Column("pixel_digest", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("informative", sa.Boolean, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
    )
    op.create_table(
        "photo_pairs",
        _reference("first_id", "photos", primary_key=True),
        _reference("second_id", "photos", primary_key=True),
        sa.Column("comparison", sa.JSON, nullable=False),
    )


def _create_look_alikes() -> None:
    op.create_table(
        "look_alike_groups",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("likeness", sa.Double, nullable=False),
        _reference("taken_from", "look_alike_groups", nullable=True, index=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "look_alike_members",
        _reference("group_id", "look_alike_groups", primary_key=True),
        _reference("product_id", "products", primary_key=True, index=True),
        sa.Column("photo", sa.String(64)),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        _reference("group_id", "look_alike_groups", nullable=True, index=True, ondelete="SET NULL"),
        sa.Column("decided_by", sa.String),
        sa.Column("decided_at", sa.DateTime, nullable=False),
        sa.Column("why", sa.String),
        sa.Column("undone_by", sa.String),
        sa.Column("undone_at", sa.DateTime),
    )
    op.create_table(
        "decision_subjects",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("decision_id", "decisions", index=True),
        _reference("product_id", "products"),
        _reference("photo_id", "photos", nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_before", sa.String(16)),
        sa.Column("reasons_before", sa.JSON, nullable=False),
        sa.Index("ix_decision_subjects_product_id_photo_id", "product_id", "photo_id"),
    )


def _reference(
    name: str,
    table: str,
    *,
    nullable: bool = False,
    index: bool = False,
    primary_key: bool = False,
    ondelete: str = "CASCADE",
) -> sa.Column[int]:
    return sa.Column(
        name,
        sa.Integer,
        sa.ForeignKey(f"{table}.id", ondelete=ondelete),
        nullable=nullable,
        index=index,
        primary_key=primary_key,
    )
