"""Pages of shops in the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, func, select, update

from satchel.catalog.database import writing
from satchel.catalog.dialect import insert_or_ignore
from satchel.catalog.tables import now
from satchel.collect.tables import ShopPageRow

CHUNK: Final = 100
WAITING: Final = "waiting"
READ: Final = "read"
REFUSED: Final = "refused"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class ShopPage:
    """A row of the table."""

    id: int
    url: str
    attempts: int


class ShopPages:
    """The pages of one shop."""

    def __init__(self, engine: Engine, shop: str) -> None:
        self._engine = engine
        self._shop = shop

    def add(self, urls: Iterable[str]) -> None:
        """Add pages; those that are known stay as they are."""
        rows = [{"shop": self._shop, "url": url, "state": WAITING} for url in urls]
        if not rows:
            return
        with writing(self._engine) as connection:
            connection.execute(insert_or_ignore(ShopPageRow), rows)
            connection.commit()

    def waiting(self, after: int) -> list[ShopPage]:
        """Return the next pages that wait, with ids above `after`, in order."""
        chosen = (
            select(ShopPageRow.id, ShopPageRow.url, ShopPageRow.attempts)
            .where(ShopPageRow.shop == self._shop, ShopPageRow.state == WAITING)
            .where(ShopPageRow.id > after)
            .order_by(ShopPageRow.id)
            .limit(CHUNK)
        )
        with self._engine.connect() as connection:
            return [ShopPage(*row) for row in connection.execute(chosen)]

    def counts(self) -> dict[str, int]:
        """Count the pages of each state."""
        chosen = (
            select(ShopPageRow.state, func.count())
            .where(ShopPageRow.shop == self._shop)
            .group_by(ShopPageRow.state)
        )
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(chosen)}

    def change(
        self, page: ShopPage, state: str, reason: str | None = None, *, products: int = 0
    ) -> None:
        """Write what became of a page."""
        row = update(ShopPageRow).where(ShopPageRow.id == page.id)
        values = {"state": state, "reason": reason, "attempts": page.attempts}
        with writing(self._engine) as connection:
            connection.execute(row.values(**values, products=products, changed_at=now()))
            connection.commit()

    def read_again(self, *, all_pages: bool) -> None:
        """Let pages wait again: those that failed, or all."""
        rows = update(ShopPageRow).where(ShopPageRow.shop == self._shop)
        if not all_pages:
            rows = rows.where(ShopPageRow.state == FAILED)
        with writing(self._engine) as connection:
            connection.execute(rows.values(state=WAITING, attempts=0, reason=None))
            connection.commit()
