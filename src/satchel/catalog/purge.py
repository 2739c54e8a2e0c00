"""Erasing photos for good: rows, embeddings, measurements and boxes, and what undoing would need.

A purge is a row of the ledger too, with the photos' hashes: so that no import brings them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from satchel.catalog.change_log import ChangeLog
from satchel.catalog.database import increment_revision, inserted_id, writing
from satchel.catalog.decisions import Choice
from satchel.catalog.dialect import MAX_PARAMETERS, overwrite_deleted, truncate_journal
from satchel.catalog.products import shows_a_product
from satchel.catalog.tables import (
    ChangedRow,
    DecisionRow,
    PhotoRow,
    PhotoSourceRow,
    ProductPhotoRow,
    ProductRow,
)
from satchel.errors import CatalogueError
from satchel.parallel import batched

DELETIONS: Final = (Choice.DELETE_PRODUCT, Choice.DELETE_PHOTO)


@dataclass(frozen=True, slots=True)
class Purge:
    """What a purge erases.

    Attributes:
        decisions: deletions that cannot be undone afterwards.
        photos: SHA-256 of photos that no product shows then.
    """

    decisions: tuple[int, ...]
    photos: tuple[str, ...]


class PurgeStore:
    """Finds and erases what was deleted."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, until: datetime) -> Purge:
        """Return the deletions in force that were made until then, and their photos."""
        with self._engine.connect() as connection:
            decisions = connection.scalars(
                select(DecisionRow.id)
                .join(ChangedRow, ChangedRow.decision_id == DecisionRow.id)
                .where(
                    DecisionRow.kind.in_(DELETIONS),
                    DecisionRow.undone_at.is_(None),
                    DecisionRow.decided_at <= until,
                    ChangedRow.purged.is_(False),
                )
                .distinct()
                .order_by(DecisionRow.id)
            ).all()
            return Purge(tuple(decisions), tuple(_unreferenced(connection, decisions)))

    def holding(self, photos: Sequence[str]) -> dict[str, list[str]]:
        """Return the codes of the products that show these photos, deleted ones with none.

        Raises:
            CatalogueError: there is no such photo.
        """
        found: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            for photo in photos:
                number = connection.scalar(select(PhotoRow.id).where(PhotoRow.sha256 == photo))
                if number is None:
                    raise CatalogueError(
                        f"the catalogue has no photo {photo!r}, nor a deleted one; name it by all "
                        "64 digits of its SHA-256"
                    )
                found[photo] = list(
                    connection.scalars(
                        select(ProductRow.code)
                        .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
                        .where(ProductPhotoRow.photo_id == number)
                        .order_by(ProductRow.code)
                    )
                )
        return found

    def erase(
        self,
        decisions: Sequence[int],
        photos: Sequence[str],
        *,
        by: str | None = None,
        why: str | None = None,
    ) -> tuple[Purge, bool]:
        """Erase photos and what deletions keep, in one transaction.

        Photos that a product still shows are taken out of it. The pages of the database that
        held what was erased are overwritten.

        Args:
            decisions: deletions; those that were undone meanwhile are left out. With them go the
                photos that nothing else shows or could bring back.
            photos: SHA-256 of further ones.

        Returns:
            what was erased, and whether the database's journal is emptied too: not where another
            program reads it.
        """
        with writing(self._engine) as connection:
            overwrite_deleted(connection)
            decisions = _standing(connection, decisions)
            unreferenced = _unreferenced(connection, decisions) if decisions else []
            purge = Purge(tuple(decisions), tuple(dict.fromkeys((*photos, *unreferenced))))
            log = ChangeLog(connection)
            ids = _ids(connection, purge.photos)
            sources, codes = _about(connection, ids)
            for number in ids:
                log.delete(ProductPhotoRow, ProductPhotoRow.photo_id == number)
            about = {"product": None, "codes": codes, "photos": purge.photos, "sources": sources}
            decision = inserted_id(
                connection,
                insert(DecisionRow).values(kind=Choice.PURGE, decided_by=by, why=why, about=about),
            )
            log.save(decision)
            # The numbers stay, so that no other row gets them.
            gone = [
                {"decision_id": decision, "of_table": PhotoRow.__tablename__, "row_id": number}
                for number in ids
            ]
            if gone:
                connection.execute(insert(ChangedRow), gone)
            _forget(connection, ChangedRow.decision_id, [decision, *purge.decisions])
            _forget(connection, ChangedRow.photo_id, ids)
            for some in batched(ids, MAX_PARAMETERS):
                connection.execute(delete(PhotoRow).where(PhotoRow.id.in_(some)))
            increment_revision(connection)
            connection.commit()
        return purge, truncate_journal(self._engine)

    def erased(self) -> list[str]:
        """Return the SHA-256 of all photos that were purged and that the catalogue has not again.

        A run that was killed may have left the files of some.
        """
        chosen = select(DecisionRow.about).where(DecisionRow.kind == Choice.PURGE)
        with self._engine.connect() as connection:
            names = [n for about in connection.scalars(chosen) if about for n in about["photos"]]
            known = set(_known(connection, names))
        return [name for name in dict.fromkeys(names) if name not in known]


# -- inside a transaction -------------------------------------------------------------------------


def _standing(connection: Connection, decisions: Sequence[int]) -> list[int]:
    """Those of these decisions that nobody has undone."""
    return [
        number
        for some in batched(decisions, MAX_PARAMETERS)
        for number in connection.scalars(
            select(DecisionRow.id).where(DecisionRow.id.in_(some), DecisionRow.undone_at.is_(None))
        )
    ]


def _unreferenced(connection: Connection, purged: Sequence[int]) -> list[str]:
    """Photos that no product shows, and that no edit but these could bring back."""
    found = connection.execute(
        select(PhotoRow.id, PhotoRow.sha256).where(~shows_a_product()).order_by(PhotoRow.id)
    ).all()
    deleted = connection.execute(
        select(ChangedRow.photo_id, ChangedRow.decision_id)
        .join(DecisionRow, DecisionRow.id == ChangedRow.decision_id)
        .where(
            ChangedRow.of_table == ProductPhotoRow.__tablename__,
            ChangedRow.after.is_(None),
            ChangedRow.purged.is_(False),
            DecisionRow.undone_at.is_(None),
        )
    )
    gone = set(purged)
    kept = {photo for photo, decision in deleted if decision not in gone}
    return [row.sha256 for row in found if row.id not in kept]


def _ids(connection: Connection, photos: Sequence[str]) -> list[int]:
    return [
        number
        for some in batched(photos, MAX_PARAMETERS)
        for number in connection.scalars(select(PhotoRow.id).where(PhotoRow.sha256.in_(some)))
    ]


def _known(connection: Connection, photos: Sequence[str]) -> list[str]:
    return [
        name
        for some in batched(photos, MAX_PARAMETERS)
        for name in connection.scalars(select(PhotoRow.sha256).where(PhotoRow.sha256.in_(some)))
    ]


def _about(connection: Connection, ids: Sequence[int]) -> tuple[list[str], list[str]]:
    """Hashes of the bytes that photos came as, and codes of the products that show them."""
    sources: list[str] = []
    codes: set[str] = set()
    for some in batched(ids, MAX_PARAMETERS):
        sources += connection.scalars(
            select(PhotoSourceRow.source_sha256).where(PhotoSourceRow.photo_id.in_(some))
        )
        codes |= set(
            connection.scalars(
                select(ProductRow.code)
                .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
                .where(ProductPhotoRow.photo_id.in_(some))
            )
        )
    return sources, sorted(codes)


def _forget(connection: Connection, column: Any, numbers: Sequence[int]) -> None:
    """Erase what rows of these decisions, or about these photos, were before and after."""
    empty = {"before": None, "after": None, "purged": True}
    for some in batched(numbers, MAX_PARAMETERS):
        connection.execute(update(ChangedRow).where(column.in_(some)).values(**empty))
