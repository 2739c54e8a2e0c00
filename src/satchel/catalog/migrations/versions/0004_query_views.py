"""Query views: what a query shows of a gallery photo, where that is its main good alone."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns, empty: of photos that were embedded before, a query shows the whole."""
    for name in ("query_vector", "query_colours", "query_patches"):
        op.add_column("vectors", sa.Column(name, sa.LargeBinary))
