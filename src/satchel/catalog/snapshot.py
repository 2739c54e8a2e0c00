"""Copies of the database that is in use, and checks of a database file, by SQLite's own means."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from satchel.catalog.database import refused
from satchel.progress import SILENT, Progress

PAGES: Final = 2_000
"""Pages of 4 kB that are copied between two advances of the progress."""

MOST_FAULTS: Final = 100


def copy_database(source: Path, target: Path, *, progress: Progress = SILENT) -> None:
    """Copy one state of a database to a new file, while others read and write it.

    A read transaction holds the state: writers go on (WAL), and the copy does not begin anew when
    they commit. The copy is one file, without a `-wal`.

    Raises:
        WorkspaceError, StorageError: the database cannot be read, or the copy not be written.
    """
    counted = 0

    def count(_status: int, remaining: int, total: int) -> None:
        nonlocal counted
        if not counted:
            progress.begin("database", total)
        progress.advance(total - remaining - counted)
        counted = total - remaining

    with _opened(source) as live:
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with _opened(target, mode="rwc") as copy:
            live.backup(copy, pages=PAGES, progress=count)
            copy.execute("PRAGMA journal_mode=DELETE")


def database_faults(path: Path) -> list[str]:
    """What is wrong inside a database: damaged pages and indexes, rows that name missing ones.

    Raises:
        WorkspaceError, StorageError: it cannot be read at all.
    """
    with _opened(path) as database:
        found = [row[0] for row in database.execute(f"PRAGMA integrity_check({MOST_FAULTS})")]
        loose = database.execute("PRAGMA foreign_key_check").fetchmany(MOST_FAULTS)
    faults = [line for text in found for line in str(text).splitlines() if line != "ok"]
    return faults + [f"row {row} of {table} names a missing {of}" for table, row, of, _ in loose]


def rebuild_database_indexes(path: Path) -> None:
    """Make the database's own indexes again from its tables.

    Raises:
        WorkspaceError, StorageError: the tables cannot be read, or the database not be written.
    """
    with _opened(path) as database:
        database.execute("REINDEX")


def stored_photos(path: Path) -> list[tuple[str, int]]:
    """SHA-256 and size in bytes of every photo that a database names, by id."""
    with _opened(path) as database:
        return database.execute("SELECT sha256, size_bytes FROM photos ORDER BY id").fetchall()


def count_products(path: Path) -> int:
    """How many products a database has."""
    with _opened(path) as database:
        return int(database.execute("SELECT count(*) FROM products").fetchone()[0])


@contextmanager
def _opened(path: Path, *, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """Open a database without SQLAlchemy; its errors say what to do."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as database:
            yield database
    except sqlite3.Error as error:
        raise refused(path, error) from None
