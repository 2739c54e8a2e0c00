"""People's decisions on photos, what photos show, and figures of pairs instead of a yes or no."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _photo(name: str) -> sa.Column[int]:
    return sa.Column(
        name, sa.Integer, sa.ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True
    )


def upgrade() -> None:
    """Add the decisions' table; photos are measured and compared anew, for there is more to keep.

    Nothing that a person entered is lost: figures come from the photos.
    """
    op.execute("DELETE FROM photo_figures")
    op.drop_table("photo_pairs")
    op.create_table(
        "photo_pairs",
        _photo("first_id"),
        _photo("second_id"),
        sa.Column("comparison", sa.JSON, nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("action", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column(
            "product_id",
            sa.Integer,
            sa.ForeignKey("products.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "photo_id", sa.Integer, sa.ForeignKey("photos.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_before", sa.String(16), nullable=True),
        sa.Column("reasons_before", sa.JSON, nullable=False),
        sa.Column("decided_by", sa.String, nullable=True),
        sa.Column("decided_at", sa.DateTime, nullable=False),
        sa.Column("undone_at", sa.DateTime, nullable=True),
    )
    with op.batch_alter_table("photo_figures") as table:
        table.add_column(sa.Column("content", sa.JSON, nullable=False))
    op.create_index("ix_decisions_action", "decisions", ["action"])
    op.create_index("ix_decisions_product_id_photo_id", "decisions", ["product_id", "photo_id"])
    op.create_index("ix_product_photos_state", "product_photos", ["state"])
