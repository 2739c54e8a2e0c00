"""Searches in the database: which query of which product was made at which source."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, delete, func, select

from satchel.catalog.database import writing
from satchel.catalog.dialect import insert_or_ignore
from satchel.collect.tables import SearchRow


class SearchStore:
    """The table of searches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def made(self, source: str, code: str) -> set[str]:
        """Return the queries of a product that were made at a source."""
        chosen = select(SearchRow.query).where(SearchRow.source == source, SearchRow.code == code)
        with self._engine.connect() as connection:
            return set(connection.scalars(chosen))

    def add(
        self, source: str, code: str, query: str, *, number: int, found: int, reason: str | None
    ) -> int:
        """Record a search and return its id."""
        values = {
            "source": source,
            "code": code,
            "query": query,
            "round": number,
            "found": found,
            "reason": reason,
        }
        with writing(self._engine) as connection:
            connection.execute(insert_or_ignore(SearchRow).values(**values))
            connection.commit()
            chosen = select(SearchRow.id).where(
                SearchRow.source == source, SearchRow.code == code, SearchRow.query == query
            )
            return connection.execute(chosen).scalar_one()

    def forget(self, ids: Sequence[int]) -> None:
        """Delete searches, so that they are made again."""
        with writing(self._engine) as connection:
            for one in ids:
                connection.execute(delete(SearchRow).where(SearchRow.id == one))
            connection.commit()

    def forget_failed(self) -> int:
        """Delete the searches that failed, and return how many."""
        with writing(self._engine) as connection:
            count = connection.execute(
                delete(SearchRow).where(SearchRow.reason.is_not(None))
            ).rowcount
            connection.commit()
        return count

    def last_round(self) -> int:
        """Return the number of the last round of searches; 0 before the first."""
        with self._engine.connect() as connection:
            return connection.scalar(select(func.max(SearchRow.round))) or 0

    def sources(self) -> list[str]:
        """Return the sources that were searched so far."""
        with self._engine.connect() as connection:
            return list(connection.scalars(select(SearchRow.source).distinct().order_by("source")))
