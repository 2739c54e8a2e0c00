"""Logged changes of rows, so that an edit of the catalogue can be undone exactly.

An edit changes rows through a `ChangeLog`, which keeps each as it was and as it is since. Undoing
gives the rows their values back, and refuses where somebody changed the same values in between.
Rows of `OWN` tables are what the edit is about. Other rows only follow them: where they were
replaced in between, they are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase

from satchel.catalog.code_holders import ListedRow
from satchel.catalog.tables import (
    ChangedRow,
    DecisionRow,
    DecisionSubjectRow,
    FeedbackRow,
    LookAlikeGroupRow,
    LookAlikeMemberRow,
    PhotoRow,
    ProductPhotoRow,
    ProductRow,
)
from satchel.errors import EditConflict

Table = type[DeclarativeBase]
Values = Mapping[str, Any]

KEYS: Final[Mapping[Table, tuple[str, ...]]] = {
    ProductRow: ("code",),
    ProductPhotoRow: ("product_id", "photo_id"),
}
"""Columns whose values no two rows of what an edit is about share."""
OWN: Final[tuple[Table, ...]] = tuple(KEYS)
FOLLOWING: Final[tuple[Table, ...]] = (
    DecisionSubjectRow,
    LookAlikeMemberRow,
    FeedbackRow,
    ListedRow,
)
TABLES: Final[Mapping[str, Table]] = {table.__tablename__: table for table in OWN + FOLLOWING}
PARENTS: Final[Mapping[str, Table]] = {
    "product_id": ProductRow,
    "photo_id": PhotoRow,
    "group_id": LookAlikeGroupRow,
}
"""Columns that refer to rows which may be gone when a row is restored."""


class ChangeLog:
    """Changes rows inside a transaction, and keeps what they were."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def update(self, table: Table, row_id: int, values: Values) -> None:
        """Set columns of the row with this `id`; those that have the value already stay out."""
        row = _row(self._connection, table, row_id)
        changed = {name: value for name, value in values.items() if row[name] != value}
        if changed:
            before = {name: row[name] for name in changed}
            self._add(table, row, before, changed)
            self._connection.execute(update(table).where(_is(table, row_id)).values(**changed))

    def delete(self, table: Table, *where: ColumnElement[bool]) -> None:
        """Delete rows, and keep them whole."""
        for row in self._connection.execute(select(table.__table__).where(*where)).all():
            self._add(table, row._asdict(), row._asdict(), None)
        self._connection.execute(delete(table).where(*where))

    def insert(self, table: Table, values: Values) -> None:
        """Insert a row of a table whose key is among its values."""
        self._add(table, values, None, values)
        self._connection.execute(insert(table).values(**values))

    def save(self, decision: int) -> None:
        """Write what was changed under a decision."""
        if self._rows:
            rows = [{"decision_id": decision, **row} for row in self._rows]
            self._connection.execute(insert(ChangedRow), rows)

    def _add(self, table: Table, row: Values, before: Values | None, after: Values | None) -> None:
        self._rows.append(
            {
                "of_table": table.__tablename__,
                "row_id": row.get("id"),
                "photo_id": row.get("photo_id"),
                "before": None if before is None else _as_json(before),
                "after": None if after is None else _as_json(after),
            }
        )


def unused_id(connection: Connection, table: Table) -> int:
    """Return an id that no row of the table has, and none that an edit deleted.

    Undoing gives deleted rows their ids back, and an index that is not rebuilt yet names them.
    """
    own = select(func.max(table.__table__.c.id))
    logged = select(func.max(ChangedRow.row_id)).where(ChangedRow.of_table == table.__tablename__)
    return 1 + max(connection.scalar(own) or 0, connection.scalar(logged) or 0)


def restore(connection: Connection, decision: int) -> int:
    """Give the rows of a decision their values back, the last change first.

    Returns:
        how many were not restored since what they were is purged.

    Raises:
        EditConflict: a later change is in the way; nothing is restored then, if the caller rolls
            back.
    """
    rows = connection.execute(
        select(ChangedRow.__table__)
        .where(ChangedRow.decision_id == decision)
        .order_by(ChangedRow.id.desc())
    ).all()
    for row in rows:
        if not row.purged:
            _restore(connection, row)
    return sum(row.purged for row in rows)


def _restore(connection: Connection, change: Any) -> None:
    table = TABLES[change.of_table]
    if change.before is None:
        same = (ChangedRow.before[name].as_integer() == change.after[name] for name in _keys(table))
        _refuse(_later(connection, change, table, ChangedRow.after.is_(None), *same), "deleted it")
        connection.execute(delete(table).where(_is_row(table, change.after)))
    elif change.after is None:
        _insert_again(connection, table, change)
    else:
        _set_back(connection, table, change)


def _insert_again(connection: Connection, table: Table, change: Any) -> None:
    values = _from_json(table, change.before)
    for column, parent in PARENTS.items():
        number = values.get(column)
        if number is not None and not _exists(connection, parent, number):
            _require_no_later(connection, parent, number, change)
            return  # erased for good, or of a group that is no longer proposed
    if table in OWN:
        _require_free(connection, table, values, change)
    elif connection.scalar(select(func.count()).select_from(table).where(_is_row(table, values))):
        return
    connection.execute(insert(table).values(**values))


def _set_back(connection: Connection, table: Table, change: Any) -> None:
    found = connection.execute(
        select(table.__table__).where(_is(table, change.row_id))
    ).one_or_none()
    # A link that an import removed may have left its number to the next one, of another photo.
    if found is None or getattr(found, "photo_id", None) != change.photo_id:
        _require_no_later(connection, table, change.row_id, change)
        return
    same = ChangedRow.row_id == change.row_id
    later = [one for one in _later(connection, change, table, same) if _overlap(one, change)]
    _refuse(later, "changed the same")
    row, before = found._asdict(), _from_json(table, change.before)
    if any(row[name] != value for name, value in _from_json(table, change.after).items()):
        if table in OWN:
            raise EditConflict(
                f"what decision {change.decision_id} set was changed since, by an import: "
                "edit it anew"
            )
        return
    if any(name in before for name in KEYS.get(table, ())):
        _require_free(connection, table, {**row, **before}, change)
    connection.execute(update(table).where(_is(table, change.row_id)).values(**before))


def _require_free(connection: Connection, table: Table, values: Values, change: Any) -> None:
    """Raise EditConflict where another row has the code, or shows the same photo.

    Also where another row had it in between, until an edit that stands took it away: that one
    could not be undone any more.
    """
    product = table is ProductRow
    columns = table.__table__.c
    same = (columns[name] == values[name] for name in KEYS[table])
    if connection.scalar(select(columns.id).where(columns.id != values["id"], *same)) is not None:
        raise EditConflict(
            f"another product has the code {values['code']!r} by now: rename that first"
            if product
            else "the product has the photo again by now: delete it there first"
        )
    had = (
        [ChangedRow.before["code"].as_string() == values["code"]]
        if product
        else [
            ChangedRow.photo_id == values["photo_id"],
            ChangedRow.before["product_id"].as_integer() == values["product_id"],
        ]
    )
    what = f"the code {values['code']!r}" if product else "the same photo of the product"
    other_row = ChangedRow.row_id != values["id"]
    _refuse(_later(connection, change, table, other_row, *had), f"took {what} away from another")


def _require_no_later(connection: Connection, table: Table, row_id: int, change: Any) -> None:
    """Raise EditConflict where an edit that stands deleted a row."""
    deleted = (ChangedRow.row_id == row_id, ChangedRow.after.is_(None))
    _refuse(_later(connection, change, table, *deleted), "deleted it")


def _refuse(later: Sequence[Any], did: str) -> None:
    if later:
        raise EditConflict(f"decision {later[0].decision_id} {did} since: undo that first")


def _overlap(one: Any, other: Any) -> bool:
    """Whether two changes of a row are of the same columns, whatever the values are by now."""
    return bool((one.before or {}).keys() & other.before.keys())


def _later(
    connection: Connection, change: Any, table: Table, *where: ColumnElement[bool]
) -> Sequence[Any]:
    """Return what later decisions that stand changed in a table, the last first."""
    return connection.execute(
        select(ChangedRow.decision_id, ChangedRow.before)
        .join(DecisionRow, DecisionRow.id == ChangedRow.decision_id)
        .where(
            ChangedRow.of_table == table.__tablename__,
            ChangedRow.id > change.id,
            ChangedRow.decision_id != change.decision_id,
            ChangedRow.purged.is_(False),
            DecisionRow.undone_at.is_(None),
            *where,
        )
        .order_by(ChangedRow.id.desc())
    ).all()


# -- rows -----------------------------------------------------------------------------------------


def _row(connection: Connection, table: Table, row_id: int) -> Values:
    return connection.execute(select(table.__table__).where(_is(table, row_id))).one()._asdict()


def _exists(connection: Connection, table: Table, row_id: int) -> bool:
    return connection.scalar(select(table.__table__.c.id).where(_is(table, row_id))) is not None


def _is(table: Table, row_id: int) -> ColumnElement[bool]:
    return table.__table__.c.id == row_id


def _keys(table: Table) -> list[str]:
    return [column.name for column in table.__table__.primary_key]


def _is_row(table: Table, values: Values) -> ColumnElement[bool]:
    return and_(*(table.__table__.c[name] == values[name] for name in _keys(table)))


def _as_json(values: Values) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _from_json(table: Table, values: Values) -> dict[str, Any]:
    columns = table.__table__.c
    return {
        name: datetime.fromisoformat(value)
        if isinstance(columns[name].type, DateTime) and value is not None
        else value
        for name, value in values.items()
    }
