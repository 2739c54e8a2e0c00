"""What was measured of photos, and the state that curation gives them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the figures' table, and state and reasons to the photos of products."""
    op.create_table(
        "photo_figures",
        sa.Column(
            "photo_id",
            sa.Integer,
            sa.ForeignKey("photos.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("pixel_digest", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("informative", sa.Boolean, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
    )
    op.create_table(
        "photo_pairs",
        *(
            sa.Column(
                name,
                sa.Integer,
                sa.ForeignKey("photos.id", ondelete="CASCADE"),
                primary_key=True,
            )
            for name in ("first_id", "second_id")
        ),
        sa.Column("same", sa.Boolean, nullable=False),
    )
    with op.batch_alter_table("product_photos") as table:
        table.add_column(sa.Column("state", sa.String(16), nullable=False, server_default="kept"))
        table.add_column(sa.Column("reasons", sa.JSON, nullable=False, server_default="[]"))
