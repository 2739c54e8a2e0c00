"""Consents: who agreed to which version of what, and when."""

import sqlalchemy as sa
from alembic import op

from satchel.catalog.dialect import append_only

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Create the table, which refuses changes, with the terms that were accepted before."""
    op.create_table(
        "consents",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "account_id", sa.Integer, sa.ForeignKey("accounts.id"), nullable=False, index=True
        ),
        sa.Column("about", sa.String(16), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("given", sa.Boolean, nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.execute(
        "INSERT INTO consents (account_id, about, version, given, subject, at) "
        "SELECT id, 'terms', terms_version, true, '', terms_accepted_at FROM accounts "
        "WHERE terms_version IS NOT NULL AND terms_accepted_at IS NOT NULL"
    )
    for statement in append_only("consents"):
        op.execute(statement)
