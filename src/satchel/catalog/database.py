"""Opening the SQLite database: safe connection settings, and migration of the schema.

Errors of SQLite, here or later, become a `WorkspaceError`, or a `StorageError` where trying again
can help; both say what to do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Insert,
    Select,
    create_engine,
    event,
    select,
    update,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError

from satchel.catalog.dialect import begin
from satchel.catalog.tables import PhotoRow, RevisionRow
from satchel.errors import (
    DatabaseBusy,
    DiskFull,
    SatchelError,
    StorageError,
    WorkspaceError,
)
from satchel.validation import reason

SCHEMA: Final = "0023"
"""The newest migration. A database that says so is not handed to Alembic, whose import is slow."""

BUSY_TIMEOUT_MS: Final = 30_000
"""How long a command waits for a lock; a server waits less, see `limit_lock_wait`."""

CONNECTIONS: Final = 16
"""Connections that are kept. More are opened for threads that need them at once: one that reads
must not wait for a connection of those that wait for the write lock."""


def open_database(path: Path, *, create: bool = False) -> Engine:
    """Open the SQLite database at `path` and migrate it if needed.

    WAL lets readers work during a write; synchronous=FULL keeps every acknowledged commit through
    a power cut; foreign keys are enforced.

    Args:
        create: make the database where there is none, or an empty one. Otherwise it is never
            made, not even by a connection that is opened after somebody deleted the file.

    Raises:
        WorkspaceError: there is none; it is empty, damaged, another program's or a newer
            Satchel's; or the system does not let it be opened.
        StorageError: the disk is full, read-only or faulty, or another program holds the lock.
    """
    schema = _schema(path)
    if schema is None and not create:
        raise _expected(path, "an empty one" if path.exists() else "none")
    if schema is not None and schema > SCHEMA:
        raise WorkspaceError(
            f"expected a database of schema {SCHEMA} or older at {path}, got {schema}, which a "
            "newer Satchel made; update this one, or go back to a copy of the workspace"
        )
    engine = create_engine(
        _url(path, "rwc" if create else "rw"), pool_size=CONNECTIONS, max_overflow=-1
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "connect", lambda _, record: record.info.update(file=_identity(path)))
    event.listen(engine, "checkout", partial(_require_same_file, path))
    event.listen(engine, "begin", begin)
    event.listen(engine, "handle_error", partial(_translate, path), retval=True)
    if schema != SCHEMA:
        _migrate(engine, path)
    return engine


def writing(engine: Engine) -> Connection:
    """Open a connection whose transactions take the write lock from their start."""
    return engine.connect().execution_options(writes=True)


def take_lock(engine: Engine, *, wait_ms: int) -> None:
    """Take the write lock and let go of it, to see whether the database can be written to.

    Raises:
        DatabaseBusy: another program held it for longer than `wait_ms`.
        StorageError, WorkspaceError: the database cannot be used.
    """
    with writing(engine) as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        (usual_ms,) = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute(f"PRAGMA busy_timeout={wait_ms}")
        try:
            connection.begin().rollback()
        finally:
            raw.execute(f"PRAGMA busy_timeout={usual_ms}")


def limit_lock_wait(engine: Engine, wait_ms: int) -> None:
    """Let every write wait this long for a lock, not `BUSY_TIMEOUT_MS`."""

    def limit(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout={wait_ms}")

    event.listen(engine, "connect", limit)
    engine.dispose()  # connections that are open already wait as before


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


def stored_photos(connection: Connection, ids: Collection[int]) -> set[int]:
    """Return those of these ids, some hundreds at most, that photos have: others were purged."""
    return set(connection.scalars(select(PhotoRow.id).where(PhotoRow.id.in_(ids))))


def current_revision(connection: Connection) -> int:
    """Return the count of changes so far that an index depends on."""
    return connection.execute(select(RevisionRow.value)).scalar_one()


def increment_revision(connection: Connection) -> None:
    """Record that something has changed that an index depends on."""
    connection.execute(update(RevisionRow).values(value=RevisionRow.value + 1))


def count_columns(connection: Connection) -> None:
    """Record that an import has changed what is said of products, on which no index depends."""
    connection.execute(update(RevisionRow).values(columns=RevisionRow.columns + 1))


def inserted_id(connection: Connection, statement: Insert) -> int:
    """Execute an insert of one row and return its id."""
    key = connection.execute(statement).inserted_primary_key
    assert key is not None
    return int(key[0])


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not guessed by the driver
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file, which differ from those of a replacement; None without one."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _require_same_file(path: Path, _connection: Any, record: Any, _proxy: Any) -> None:
    """Reconnect if the file was moved away or replaced: what is written to it would be lost."""
    if record.info["file"] != _identity(path):
        raise DisconnectionError


def _url(path: Path, mode: str) -> URL:
    """The URL of a database; as a `file:` URI, in which a folder's name may hold anything."""
    uri = path.absolute().as_uri()
    return URL.create("sqlite", database=uri, query={"mode": mode, "uri": "true"})


def _schema(path: Path) -> str | None:
    """Read the migration that a database is at; None where it is missing or has no tables.

    Asks SQLite itself, which takes a fraction of a millisecond, and changes nothing.

    Raises:
        WorkspaceError: it cannot be read, or is not Satchel's.
    """
    try:
        if not _size(path):
            if _size(path.with_name(f"{path.name}-wal")):  # SQLite would delete it
                raise _expected(path, f"only {path.name}-wal, which holds changes to it")
            return None
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            if not tables:
                return None
            query = "SELECT version_num FROM alembic_version"
            version = database.execute(query).fetchone() if "alembic_version" in tables else None
    except OSError as error:
        raise WorkspaceError(f"cannot open the database {path}: {reason(error)}") from None
    except sqlite3.Error as error:
        raise refused(path, error) from None
    if version is None:
        raise _expected(path, "the database of another program")
    return str(version[0])


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _migrate(engine: Engine, path: Path) -> None:
    from alembic import command  # noqa: PLC0415 - slow, and needed once in a database's life
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "satchel.catalog:migrations")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise _expected(path, f"one of an unknown schema ({error})") from None
        connection.commit()


# -- errors ---------------------------------------------------------------------------------------

_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_NOT_ALLOWED: Final = "make sure that Satchel may read and write it and the folder it is in"

_REMEDIES: Final[Mapping[int, tuple[type[StorageError | WorkspaceError], str]]] = {
    sqlite3.SQLITE_FULL: (DiskFull, "free some disk space, then try again"),
    sqlite3.SQLITE_IOERR: (StorageError, "check the disk, and that it is not full"),
    sqlite3.SQLITE_BUSY: (
        DatabaseBusy,
        "another program is writing to it: try again when that is done",
    ),
    sqlite3.SQLITE_READONLY: (StorageError, _NOT_ALLOWED),
    sqlite3.SQLITE_PERM: (WorkspaceError, _NOT_ALLOWED),
    sqlite3.SQLITE_CANTOPEN: (WorkspaceError, _NOT_ALLOWED),
}
"""What it is and what to do, by SQLite's primary result code."""


def _translate(path: Path, context: ExceptionContext) -> SatchelError | None:
    """Convert an error of SQLite; a violated constraint is left to the caller."""
    error = context.original_exception
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        return refused(path, error)
    return None


def refused(path: Path, error: sqlite3.Error) -> SatchelError:
    """Convert an error of SQLite about the database at `path` to one that says what to do."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN and not path.exists():
        return _expected(path, "none")
    if code in _DAMAGED:
        return _expected(path, f"a damaged file ({error})")
    kind, remedy = _REMEDIES.get(
        code, (WorkspaceError, "if this persists, restore the workspace from a backup")
    )
    return kind(f"the database {path} cannot be used: {error}; {remedy}")


def _expected(path: Path, found: str) -> WorkspaceError:
    return WorkspaceError(
        f"expected Satchel's database at {path}, found {found}; restore {path.name} and photos/ "
        f"from the same backup (first move away a {path.name}-wal that is not from it), "
        "or begin anew with `satchel init` in an empty folder"
    )
