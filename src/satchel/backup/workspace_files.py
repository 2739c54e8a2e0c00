"""Which files of a workspace a backup holds: all but those that can be made again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from satchel.backup.snapshots import StoredFile

DATABASE: Final = "satchel.db"
REPLACED: Final = "replaced-"
"""How folders begin that a restore moves older files to."""

_APART: Final = frozenset(("photos", "index"))
"""Photos are found by the database; the index is built again from it."""


def workspace_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name (below the workspace, by /) and path of each file but database, photos, index.

    Links to files count as files. Links to folders are followed at the top, where people put large
    folders on other disks, and not below, where they can lead round in circles.
    """
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            if entry.name not in _APART and not entry.name.startswith(REPLACED):
                yield from _below(entry, folder)
        elif entry.is_file() and not _is_of_database(entry.name) and not _is_temporary(entry.name):
            yield entry.name, entry


def database_files(folder: Path) -> list[Path]:
    """The database's files that are there: what waits in a `-wal` belongs to it."""
    return [path for path in sorted(folder.iterdir()) if _is_of_database(path.name)]


def is_unchanged(path: Path, known: StoredFile) -> bool:
    """Whether a file has the size and time of modification that it had."""
    status = path.stat()
    return (status.st_size, status.st_mtime_ns) == (known.size, known.modified_ns)


def _below(top: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    for here, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            if path.is_file() and name != "lock" and not _is_temporary(name):
                yield path.relative_to(folder).as_posix(), path


def _is_of_database(name: str) -> bool:
    return name == DATABASE or name.startswith(f"{DATABASE}-")


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")
