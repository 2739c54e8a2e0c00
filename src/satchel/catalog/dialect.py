"""SQL that differs between databases, in one place: SQLite today.

A further database (PostgreSQL) needs these functions, and its own way of opening and of naming
errors in `satchel.catalog.database`. Nothing else in the package is written for SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Select,
    TableValuedAlias,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import InstrumentedAttribute

MAX_PARAMETERS: Final = 500
"""Values of one `IN (…)`, at most: older versions of SQLite allow 999 parameters in all."""


def insert_or_replace(table: Any) -> Insert:
    """Insert rows; a row whose primary key exists is replaced.

    Args:
        table: a mapped class.
    """
    keys = [column.name for column in table.__table__.primary_key]
    statement = insert(table)
    values = {c.name: c for c in statement.excluded if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


def insert_or_ignore(table: Any) -> Insert:
    """Insert rows; a row whose primary key exists stays as it is.

    Args:
        table: a mapped class.
    """
    return insert(table).on_conflict_do_nothing()


def with_json_key(column: InstrumentedAttribute[Any], key: str, value: Any) -> ColumnElement[Any]:
    """Return the JSON object of `column` with one key set."""
    return func.json_set(column, f"$.{key}", value)


def has_item_with(column: InstrumentedAttribute[Any], key: str, value: str) -> ColumnElement[bool]:
    """Whether the JSON array of `column` has an object whose `key` has this value."""
    items = func.json_each(column).table_valued("value")
    found = select(1).select_from(items)
    return found.where(func.json_extract(items.c.value, f"$.{key}") == value).exists()


def has_item(column: InstrumentedAttribute[Any], key: str, value: str) -> ColumnElement[bool]:
    """Whether the JSON array under `key` of the JSON object of `column` holds this value."""
    items = func.json_each(column, f"$.{key}").table_valued("value")
    return select(1).select_from(items).where(items.c.value == value).exists()


def json_entries(column: InstrumentedAttribute[Any]) -> TableValuedAlias:
    """Return the keys and values of the JSON object of `column` as a table to join with."""
    return func.json_each(column).table_valued("key", "value")


def skip_locked(chosen: Select[*tuple[Any, ...]], table: Any) -> Select[*tuple[Any, ...]]:
    """Let several writers at once each choose other rows of `table`.

    SQLite has one writer at a time, and SQLAlchemy leaves this out there; on PostgreSQL it is
    `FOR UPDATE … SKIP LOCKED`.
    """
    return chosen.with_for_update(of=table, skip_locked=True)


def database_files(engine: Engine) -> list[Path]:
    """Return the files one of which is written by every change of the database."""
    path = Path(url2pathname(urlsplit(engine.url.database or "").path))
    return [path, path.with_name(f"{path.name}-wal")]


def begin(connection: Connection) -> None:
    """Begin a transaction; a writing one takes the write lock at once.

    A reader that becomes a writer half way can deadlock.
    """
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def append_only(table: str) -> list[str]:
    """Return the statements that let rows of a table be added, never changed or deleted."""
    return [
        f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for action in ("UPDATE", "DELETE")
    ]


@contextmanager
def deletable(connection: Connection, table: str) -> Iterator[None]:
    """Let rows of an append-only table be deleted within the caller's transaction.

    Where the transaction does not end well, the table is as closed as before: SQLite takes back
    changes of the schema, too.
    """
    connection.exec_driver_sql(f"DROP TRIGGER {table}_no_delete")
    yield
    connection.exec_driver_sql(append_only(table)[1])


def overwrite_deleted(connection: Connection) -> None:
    """Let what this connection deletes be overwritten in the file, not only be marked as free."""
    connection.exec_driver_sql("PRAGMA secure_delete = ON")


def truncate_journal(engine: Engine) -> bool:
    """Write the journal into the database and empty it, so that no old page is left in it.

    Returns:
        False where another program reads the database, and the journal stays.
    """
    connection = engine.raw_connection()
    try:
        busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    return not busy
