"""Products, photos, which shows which, their vectors, and the revision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "products",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("code", sa.String(200), nullable=False, unique=True),
        *(sa.Column(name, sa.String) for name in ("brand", "name", "category", "colour", "size")),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "photos",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("width", "height", "size_bytes")
        ),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "photo_sources",
        sa.Column("source_sha256", sa.String(64), primary_key=True),
        _photo_id(index=True),
    )
    op.create_table(
        "product_photos",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "product_id",
            sa.Integer,
            sa.ForeignKey("products.id", ondelete="CASCADE"),
            nullable=False,
        ),
        _photo_id(index=True),
        *(sa.Column(name, sa.String) for name in ("role", "source", "license")),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.UniqueConstraint("product_id", "photo_id"),
    )
    op.create_table(
        "vectors",
        sa.Column("encoder", sa.String(64), primary_key=True),
        _photo_id(primary_key=True),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("whole", sa.LargeBinary, nullable=False),
    )
    revisions = op.create_table(
        "revision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.bulk_insert(revisions, [{"id": 1, "value": 0}])


def _photo_id(*, index: bool = False, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "photo_id",
        sa.Integer,
        sa.ForeignKey("photos.id", ondelete="CASCADE"),
        nullable=False,
        index=index,
        primary_key=primary_key,
    )
