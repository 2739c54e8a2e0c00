"""Atomic writes: a reader sees the old file or the new one, whole, whatever happens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

Stamp = tuple[tuple[int, int, int], ...]
"""States of files: modification time in ns, size in bytes, inode of each."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on exit that file replaces `path`.

    The temporary file is in the folder of `path`, which must exist; it is synced to disk before
    the rename, and the folder after. A crash leaves the old file, or none, and at worst a `.tmp`.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's 0600 would hide it from another user's server
        _sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`, as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def stamp_of(files: Iterable[Path]) -> Stamp:
    """Stamp of the files that exist: another one after any of them was written or replaced."""
    states = []
    for path in files:
        with suppress(FileNotFoundError):
            states.append(path.stat())
    return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)


def timestamp() -> str:
    """Return the local time for the names of reports."""
    return datetime.now().strftime("%Y%m%d-%H%M%S")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
