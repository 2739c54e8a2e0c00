"""How often imports changed what is said of products."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the count."""
    op.add_column("revision", sa.Column("columns", sa.Integer, nullable=False, server_default="0"))
