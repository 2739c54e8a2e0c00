"""Searches for photos, and what they say of candidates."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table of searches; add titles, thumbnails and rounds to candidates."""
    op.create_table(
        "photo_searches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("code", sa.String(200), nullable=False),
        sa.Column("query", sa.String, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("found", sa.Integer, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("searched_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("source", "code", "query"),
    )
    op.add_column("photo_candidates", sa.Column("title", sa.String))
    op.add_column("photo_candidates", sa.Column("thumbnail", sa.String))
    op.add_column(
        "photo_candidates", sa.Column("round", sa.Integer, nullable=False, server_default="1")
    )
    op.create_index("ix_photo_candidates_sha256", "photo_candidates", ["sha256"])
