"""Opening the database: connections set for safety, and the schema brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, create_engine, event, inspect, text, update

from satchel.catalog.tables import PhotoRow, RevisionRow
from satchel.errors import WorkspaceError

SCHEMA: Final = "0008"
"""The newest migration. A database that says so is not handed to Alembic, whose import is slow."""

BUSY_TIMEOUT_MS: Final = 30_000


def open_database(path: Path) -> Engine:
    """Open the SQLite database at `path`, created and migrated as needed.

    WAL lets readers go on beside a writer; synchronous=FULL keeps every acknowledged commit
    through a power cut; foreign keys are enforced.

    Raises:
        WorkspaceError: a newer Satchel has changed the database.
    """
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_immediately_when_writing)
    schema = _schema(engine)
    if schema is not None and schema > SCHEMA:
        raise WorkspaceError(
            f"expected a database of schema {SCHEMA} or older at {path}, got {schema}, which a "
            "newer Satchel made; update this one, or go back to a copy of the workspace"
        )
    if schema != SCHEMA:
        _migrate(engine)
    return engine


def writing(engine: Engine) -> Connection:
    """Open a connection whose transactions take the write lock from their start."""
    return engine.connect().execution_options(writes=True)


def by_photo_id(engine: Engine, chosen: Select[*tuple[Any, ...]], page: int) -> Iterator[Any]:
    """Yield the rows of a selection of photos that has their `id`, in its order.

    Reads a page at a time and holds no transaction between, so that what was chosen can be
    written to while it runs.
    """
    last = 0
    while True:
        with engine.connect() as connection:
            later = chosen.where(PhotoRow.id > last).order_by(PhotoRow.id).limit(page)
            rows = connection.execute(later).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].id


def count_up(connection: Connection) -> None:
    """Count up the revision: something that an index depends on has changed."""
    connection.execute(update(RevisionRow).values(value=RevisionRow.value + 1))


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not guessed by the driver
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediately_when_writing(connection: Connection) -> None:
    """Take the write lock at the start: a reader that becomes a writer half way can deadlock."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _schema(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - slow, and needed once in a database's life
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "satchel.catalog:migrations")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
