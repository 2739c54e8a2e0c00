"""Certificates that no longer hold since their seller revised the listing."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

REVISED = """
    SELECT min(at) FROM listing_events
    WHERE listing_id = certificates.listing_id AND kind = 'revise' AND at > certificates.issued_at
"""


def upgrade() -> None:
    """Add the time, also to certificates whose listings were revised before."""
    op.add_column("certificates", sa.Column("superseded_at", sa.DateTime))
    op.execute(
        f"UPDATE certificates SET superseded_at = ({REVISED}) WHERE revoked_at IS NULL"  # noqa: S608
    )
