"""Cases: answers on which a person chose; feedback that waits for an expert's answer."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table of cases, and mark feedback that is awaited."""
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("token", sa.String(64), nullable=False, unique=True),
        sa.Column("answer", sa.String(64), nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("code", sa.String(200)),
        sa.Column("expert", sa.Boolean, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("candidates", sa.JSON, nullable=False),
        sa.Column("photos", sa.JSON, nullable=False),
        sa.Column("filter", sa.JSON, nullable=False),
        sa.Column("photo_bytes", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False, index=True),
        sa.Column("changed_at", sa.DateTime, nullable=False, index=True),
    )
    op.add_column(
        "feedback", sa.Column("awaited", sa.Boolean, nullable=False, server_default=sa.false())
    )
