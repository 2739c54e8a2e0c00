"""Feedback: what people said of answers, with all that a calibration needs of their photos."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables of feedback."""
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("answer", sa.String(64), nullable=False, unique=True),
        sa.Column("code", sa.String(200)),
        sa.Column("encoder", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("in_catalogue", sa.Double, nullable=False),
        sa.Column("candidates", sa.JSON, nullable=False),
        sa.Column("filter", sa.JSON, nullable=False),
        sa.Column("given_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "feedback_photos",
        sa.Column(
            "feedback_id",
            sa.Integer,
            sa.ForeignKey("feedback.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, index=True),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        sa.Column("by_hand", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.LargeBinary, nullable=False) for name in ("vector", "colours")),
        sa.Column("patches", sa.LargeBinary),
    )
