"""Candidates: URLs of photos that were found for codes."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table of candidates."""
    op.create_table(
        "photo_candidates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("code", sa.String(200), nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("host", sa.String(300), nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("query", sa.String),
        sa.Column("rank", sa.Integer),
        sa.Column("page", sa.String),
        sa.Column("license", sa.String),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("found_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("code", "url"),
    )
    op.create_index("ix_photo_candidates_state_host", "photo_candidates", ["state", "host"])
    op.create_index("ix_photo_candidates_code_state", "photo_candidates", ["code", "state"])
