"""Jobs: work that runs later and again until it is done."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

UNFINISHED = sa.text("state IN ('waiting', 'running')")


def upgrade() -> None:
    """Create the table of jobs."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("arguments", sa.JSON, nullable=False),
        sa.Column("unique_key", sa.String(200)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(100)),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.String),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Index("ix_jobs_state_finished_at", "state", "finished_at"),
    )
    for name, columns, unique in (
        ("ix_jobs_due_at", ["due_at"], False),
        ("ix_jobs_unique_key_state", ["unique_key", "state"], True),
    ):
        op.create_index(
            name,
            "jobs",
            columns,
            unique=unique,
            sqlite_where=UNFINISHED,
            postgresql_where=UNFINISHED,
        )
