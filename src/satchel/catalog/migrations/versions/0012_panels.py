"""Photos that were taken for collages: measured again, as blank parts count no longer."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Delete their figures; the next `satchel curate` measures them."""
    figures = sa.table("photo_figures", sa.column("figures", sa.JSON))
    op.execute(sa.delete(figures).where(figures.c.figures["panels"].as_integer() > 1))
