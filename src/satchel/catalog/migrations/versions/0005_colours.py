"""Colours beside the vectors."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade() -> None:
    """Photos are embedded anew: nothing is lost, vectors and colours come from the photos."""
    op.drop_table("vectors")
    op.create_table(
        "vectors",
        sa.Column("encoder", sa.String(64), primary_key=True),
        sa.Column(
            "photo_id",
            sa.Integer,
            sa.ForeignKey("photos.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        *(sa.Column(n, sa.LargeBinary, nullable=False) for n in ("vector", "whole", "colours")),
    )
    op.execute("UPDATE revision SET value = value + 1")
