"""Tasks in annotation tools that were not pushed to the end."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; tasks were recorded when they were complete until now."""
    unfinished = sa.Column("unfinished", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("annotation_tasks", unfinished)
