"""Edits of the catalogue as records, and how the ledger keeps what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from satchel.catalog.decisions import Choice
from satchel.catalog.tables import DecisionRow


@dataclass(frozen=True, slots=True)
class CatalogueEdit:
    """One edit.

    Attributes:
        id: by which it is undone.
        codes: of the product as it was named; of a renamed one then the new code, of a merged one
            then the code that it went into.
        photos: SHA-256 of the photos that it is about, if not about the product.
        values: of an edit, what it set: name → (before, after), None for no value; before is
            None too where the product's photos differed.
        at: UTC, without a time zone, like `undone_at`.
        not_restored: how many rows undoing did not bring back, since they were purged.
    """

    id: int
    kind: Choice
    codes: tuple[str, ...]
    photos: tuple[str, ...]
    values: Mapping[str, tuple[str | None, str | None]]
    by: str | None
    at: datetime
    why: str | None = None
    undone_by: str | None = None
    undone_at: datetime | None = None
    not_restored: int = field(default=0, compare=False)

    @property
    def undone(self) -> bool:
        """Whether it was undone."""
        return self.undone_at is not None


def about(
    product: Any, codes: Sequence[str], photos: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """Return what an edit is about, as the ledger keeps it; `product`: its row."""
    return {"product": product.id, "codes": list(codes), "photos": list(photos), **more}


def read_edits(
    connection: Connection, ids: Sequence[int], *, not_restored: int = 0
) -> list[CatalogueEdit]:
    """Return the edits of these ids, the latest first."""
    rows = connection.execute(
        select(DecisionRow.__table__).where(DecisionRow.id.in_(ids)).order_by(DecisionRow.id.desc())
    )
    return [_edit(row, not_restored) for row in rows]


def _edit(row: Any, not_restored: int) -> CatalogueEdit:
    about = row.about or {}
    values = {name: (before, after) for name, (before, after) in about.get("values", {}).items()}
    return CatalogueEdit(
        id=row.id,
        kind=Choice(row.kind),
        codes=tuple(about.get("codes", ())),
        photos=tuple(about.get("photos", ())),
        values=values,
        by=row.decided_by,
        at=row.decided_at,
        why=row.why,
        undone_by=row.undone_by,
        undone_at=row.undone_at,
        not_restored=not_restored,
    )
