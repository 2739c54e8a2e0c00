"""People's decisions on candidates, and when something was last collected."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the columns of a decision, and an index by time."""
    for column in (
        sa.Column("decision", sa.String(8)),
        sa.Column("decided_by", sa.String),
        sa.Column("moved_to", sa.String(200)),
        sa.Column("state_before", sa.String(16)),
        sa.Column("reason_before", sa.String),
    ):
        op.add_column("photo_candidates", column)
    op.create_index("ix_photo_candidates_changed_at", "photo_candidates", ["changed_at"])
