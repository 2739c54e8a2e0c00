"""Pages of shops that photos are searched on."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table of pages."""
    op.create_table(
        "shop_pages",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("shop", sa.String(300), nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("products", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("shop", "url"),
    )
    op.create_index("ix_shop_pages_shop_state", "shop_pages", ["shop", "state"])
