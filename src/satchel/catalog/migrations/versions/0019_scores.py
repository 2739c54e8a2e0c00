"""How alike candidates are to the photos of their products."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add scores."""
    op.add_column("photo_candidates", sa.Column("score", sa.Double))
