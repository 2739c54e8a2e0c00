"""The ledger of decisions: what people decided about photos and look-alikes, and what was undone.

A decision is in force until somebody undoes it; then it stays as history, with who and when.
Photos are decided on through `satchel.catalog.review`, groups of look-alikes through
`satchel.catalog.lookalikes`; both have `decide` and `undo`, and `history` from `Decisions`. Edits
of the catalogue are rows of the same ledger, made and undone through `satchel.catalog.edits`, and
decisions on photos that are still to be fetched through `satchel.collect.deciding`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Select, insert, select, update

from satchel.catalog.database import inserted_id
from satchel.catalog.tables import (
    Base,
    DecisionRow,
    DecisionSubjectRow,
    PhotoRow,
    ProductPhotoRow,
    ProductRow,
    now,
)
from satchel.errors import CatalogueError


class Choice(StrEnum):
    """What a person decides."""

    KEEP = "keep"
    DROP = "drop"
    MOVE = "move"
    KEEP_BOTH = "keep_both"
    CONFIRM_GROUP = "confirm_group"
    REJECT_GROUP = "reject_group"
    EDIT = "edit"
    RENAME = "rename"
    MERGE = "merge"
    DELETE_PRODUCT = "delete_product"
    DELETE_PHOTO = "delete_photo"
    PURGE = "purge"
    CANDIDATES = "candidates"


PHOTO_CHOICES: Final = frozenset((Choice.KEEP, Choice.DROP, Choice.MOVE, Choice.KEEP_BOTH))
GROUP_CHOICES: Final = frozenset((Choice.CONFIRM_GROUP, Choice.REJECT_GROUP))
CANDIDATE_CHOICES: Final = frozenset((Choice.CANDIDATES,))
EDIT_CHOICES: Final = frozenset(Choice) - PHOTO_CHOICES - GROUP_CHOICES - CANDIDATE_CHOICES
BEFORE: Final = "_before"
"""Ending of the columns that undoing restores."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a decision is about: a photo of a product, or a product of a group.

    Attributes:
        photo: SHA-256; None in a decision about a group.
        state: given by the decision.
    """

    code: str
    photo: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    Attributes:
        id: by which it is undone.
        subjects: at least one; of a move, the photo under its old code first.
        group: the group of look-alikes that it is about; None for photos, and where the group is
            no longer proposed.
        at: UTC, without a time zone, like `undone_at`.
        undone_at: None where the decision is in force.
    """

    id: int
    kind: Choice
    subjects: tuple[Subject, ...]
    group: int | None
    by: str | None
    at: datetime
    why: str | None = None
    undone_by: str | None = None
    undone_at: datetime | None = None

    @property
    def undone(self) -> bool:
        """Whether it was undone."""
        return self.undone_at is not None


def has_standing_decision() -> ColumnElement[bool]:
    """Whether a decision is in force on the photo of a product (`ProductPhotoRow`)."""
    return (
        select(DecisionSubjectRow.id)
        .join(DecisionRow, DecisionRow.id == DecisionSubjectRow.decision_id)
        .where(
            DecisionSubjectRow.product_id == ProductPhotoRow.product_id,
            DecisionSubjectRow.photo_id == ProductPhotoRow.photo_id,
            DecisionRow.undone_at.is_(None),
        )
        .correlate(ProductPhotoRow)
        .exists()
    )


class Decisions:
    """The decisions of some kinds: base of the stores whose subjects are decided on."""

    def __init__(self, engine: Engine, kinds: Collection[Choice]) -> None:
        self._engine = engine
        self._kinds = kinds

    def history(self, *, limit: int = 50, standing: bool = False) -> list[Decision]:
        """Return the last decisions, the latest first.

        Args:
            standing: without those that were undone.
        """
        last = select(DecisionRow.id).where(DecisionRow.kind.in_(self._kinds))
        if standing:
            last = last.where(DecisionRow.undone_at.is_(None))
        with self._engine.connect() as connection:
            return _read(connection, last.order_by(DecisionRow.id.desc()).limit(limit))


# -- inside a transaction -------------------------------------------------------------------------


def record(
    connection: Connection,
    kind: Choice,
    subjects: Sequence[dict[str, Any]],
    *,
    group: int | None = None,
    by: str | None,
    why: str | None,
) -> int:
    """Write a decision and return its id.

    Args:
        subjects: columns of `DecisionSubjectRow` but for the decision; none where the decision is
            about neither photos nor look-alikes.
        by, why: as the person says, if at all.
    """
    statement = insert(DecisionRow).values(kind=kind.value, group_id=group, decided_by=by, why=why)
    decision = inserted_id(connection, statement)
    if rows := [{"decision_id": decision, **subject} for subject in subjects]:
        connection.execute(insert(DecisionSubjectRow), rows)
    return decision


def mark_undone(
    connection: Connection, decision: int, kinds: Collection[Choice], by: str | None
) -> list[Any]:
    """Mark a decision as undone and return its subjects' rows, with `group_id`.

    Raises:
        CatalogueError: there is no such decision, or it was undone before.
    """
    marked = connection.execute(
        update(DecisionRow)
        .where(DecisionRow.id == decision, DecisionRow.undone_at.is_(None))
        .where(DecisionRow.kind.in_(kinds))
        .values(undone_at=now(), undone_by=by)
    )
    if not marked.rowcount:
        raise CatalogueError(f"there is no decision {decision} that could be undone")
    return list(
        connection.execute(
            select(DecisionSubjectRow.__table__, DecisionRow.group_id)
            .join(DecisionRow, DecisionRow.id == DecisionSubjectRow.decision_id)
            .where(DecisionRow.id == decision)
            .order_by(DecisionSubjectRow.id)
        )
    )


def take_back(
    connection: Connection, ledger: type[Base], row: Any, about: Collection[str]
) -> dict[str, Any] | None:
    """Take back one row of an undone decision; return what to restore, None where nothing is.

    Where a later decision on the same subject is in force, it stays so, and what was before this
    one becomes what undoing that one restores.

    Args:
        ledger: table of the rows, with `id`, `decision_id` and columns `*_before`.
        row: of it.
        about: columns that name the subject.

    Returns:
        columns `*_before` of the row, without that ending.
    """
    columns = ledger.__table__.c
    names = [column.name for column in columns if column.name.endswith(BEFORE)]
    before = {name: getattr(row, name) for name in names}
    later = connection.scalar(
        select(columns.id)
        .join(DecisionRow, DecisionRow.id == columns.decision_id)
        .where(*(columns[name] == getattr(row, name) for name in about))
        .where(columns.id > row.id, DecisionRow.undone_at.is_(None))
        .order_by(columns.id)
        .limit(1)
    )
    if later is None:
        return {name.removesuffix(BEFORE): value for name, value in before.items()}
    connection.execute(update(ledger).where(columns.id == later).values(before))
    return None


def read_decision(connection: Connection, decision: int) -> Decision:
    """Return the decision of this id, which must exist."""
    return _read(connection, select(DecisionRow.id).where(DecisionRow.id == decision))[0]


def _read(connection: Connection, ids: Select[int]) -> list[Decision]:
    rows = connection.execute(
        select(
            DecisionRow.__table__,
            ProductRow.code,
            PhotoRow.sha256,
            DecisionSubjectRow.state,
        )
        .join(DecisionSubjectRow, DecisionSubjectRow.decision_id == DecisionRow.id)
        .join(ProductRow, ProductRow.id == DecisionSubjectRow.product_id)
        .outerjoin(PhotoRow, PhotoRow.id == DecisionSubjectRow.photo_id)
        .where(DecisionRow.id.in_(ids))
        .order_by(DecisionRow.id.desc(), DecisionSubjectRow.id)
    ).all()
    by_id: dict[int, list[Any]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row)
    return [_decision(subjects) for subjects in by_id.values()]


def _decision(rows: Sequence[Any]) -> Decision:
    first = rows[0]
    return Decision(
        id=first.id,
        kind=Choice(first.kind),
        subjects=tuple(Subject(row.code, row.sha256, row.state) for row in rows),
        group=first.group_id,
        by=first.decided_by,
        at=first.decided_at,
        why=first.why,
        undone_by=first.undone_by,
        undone_at=first.undone_at,
    )
