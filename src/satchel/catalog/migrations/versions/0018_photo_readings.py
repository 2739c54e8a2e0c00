"""What is written on the photos of listings."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Create the table of readings."""
    op.create_table(
        "photo_readings",
        sa.Column(
            "photo_id",
            sa.Integer,
            sa.ForeignKey("listing_photos.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("texts", sa.JSON, nullable=False),
        sa.Column("fault", sa.String),
        sa.Column("read_at", sa.DateTime, nullable=False),
    )
