"""Saved searches of the goods on sale."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create the table of saved searches."""
    op.create_table(
        "saved_searches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "account_id", sa.Integer, sa.ForeignKey("accounts.id"), nullable=False, index=True
        ),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("wanted", sa.JSON, nullable=False),
        sa.Column("mails", sa.Boolean, nullable=False),
        sa.Column("secret", sa.String(43), nullable=False),
        sa.Column("seen_until", sa.DateTime, nullable=False),
        sa.Column("mailed_at", sa.DateTime),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
