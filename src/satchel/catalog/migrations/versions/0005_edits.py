"""Edits of the catalogue: what a decision was about, and the rows that it changed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what decisions are about, and create the table of changed rows."""
    op.add_column("decisions", sa.Column("about", sa.JSON))
    op.create_table(
        "changed_rows",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "decision_id",
            sa.Integer,
            sa.ForeignKey("decisions.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("of_table", sa.String(32), nullable=False),
        sa.Column("row_id", sa.Integer),
        sa.Column("photo_id", sa.Integer, index=True),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.Column("purged", sa.Boolean, nullable=False),
        sa.Index("ix_changed_rows_of_table_row_id", "of_table", "row_id"),
    )
