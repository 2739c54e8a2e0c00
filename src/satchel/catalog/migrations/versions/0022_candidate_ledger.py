"""Decisions on candidates in the ledger of all decisions, with all that undoing restores."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Create the table of candidates that were decided on; the columns for it go."""
    op.create_table(
        "candidate_decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "decision_id",
            sa.Integer,
            sa.ForeignKey("decisions.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "candidate_id",
            sa.Integer,
            sa.ForeignKey("photo_candidates.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("state_before", sa.String(16)),
        sa.Column("reason_before", sa.String),
        sa.Column("decision_before", sa.String(8)),
        sa.Column("decided_by_before", sa.String),
    )
    for name in ("decision_id", "candidate_id"):
        op.create_index(f"ix_candidate_decisions_{name}", "candidate_decisions", [name])
    for name in ("moved_to", "state_before", "reason_before"):
        op.drop_column("photo_candidates", name)
