"""Patches beside the vectors."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Vectors stay; those of an encoder that gives patches are made anew, for it is another one."""
    op.add_column("vectors", sa.Column("patches", sa.LargeBinary, nullable=True))
