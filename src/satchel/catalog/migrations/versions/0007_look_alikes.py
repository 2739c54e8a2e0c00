"""Groups of products that photos cannot tell apart, and what people said of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add groups and their members."""
    op.create_table(
        "look_alike_groups",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("likeness", sa.Double, nullable=False),
        sa.Column(
            "taken_from",
            sa.Integer,
            sa.ForeignKey("look_alike_groups.id", ondelete="CASCADE"),
            nullable=True,
        ),
        sa.Column("decided_by", sa.String, nullable=True),
        sa.Column("decided_at", sa.DateTime, nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "look_alike_members",
        sa.Column(
            "group_id",
            sa.Integer,
            sa.ForeignKey("look_alike_groups.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "product_id",
            sa.Integer,
            sa.ForeignKey("products.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("photo", sa.String(64), nullable=True),
    )
    op.create_index("ix_look_alike_groups_state", "look_alike_groups", ["state"])
    op.create_index("ix_look_alike_groups_taken_from", "look_alike_groups", ["taken_from"])
    op.create_index("ix_look_alike_members_product_id", "look_alike_members", ["product_id"])
