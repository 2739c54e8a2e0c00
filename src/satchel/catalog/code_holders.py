"""Codes in tables of the market, which follow when a product gets another code.

The market is a room above this one, so its tables are described here as far as their codes go.
What was certified under a code keeps it: certificates and opinions say what was decided then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, String, column, select, table, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from satchel.text import folded

if TYPE_CHECKING:
    from satchel.catalog.change_log import ChangeLog


class Described(DeclarativeBase):
    """Tables of other rooms."""


class ListedRow(Described):
    """A listing, and the code that its seller or an expert chose."""

    __tablename__ = "listings"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(String(200))


SALE = table("sale_items", column("listing_id"), column("code"), column("words"))
"""What the shop searches; its words begin with the code."""


def rename_listings(log: ChangeLog, connection: Connection, old: str, new: str) -> None:
    """Give the listings of a product its new code."""
    for number in list(connection.scalars(select(ListedRow.id).where(ListedRow.code == old))):
        log.update(ListedRow, number, {"code": new})


def follow_listings(connection: Connection) -> None:
    """Give what the shop searches the codes of listings, after an edit or its undoing."""
    differing = (
        select(SALE.c.listing_id, SALE.c.code, SALE.c.words, ListedRow.code.label("now"))
        .join(ListedRow, ListedRow.id == SALE.c.listing_id)
        .where(SALE.c.code != ListedRow.code)
    )
    for row in connection.execute(differing).all():
        words = folded(row.now) + row.words.removeprefix(folded(row.code))
        connection.execute(
            update(SALE)
            .where(SALE.c.listing_id == row.listing_id)
            .values(code=row.now, words=words)
        )
