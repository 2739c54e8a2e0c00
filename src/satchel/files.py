"""Atomic writes: a reader sees the old file or the new one, whole, whatever happens."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from satchel.errors import AlreadyRunning, DiskFull, StorageError
from satchel.validation import reason

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY: Final = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY)
_OF_THE_SYSTEM: Final = re.compile(r"\(os error (\d+)\)$")

PROBE_S: Final = 0.05
"""Seconds after which a lock that `is_locked` only tried is free again."""

Stamp = tuple[tuple[int, int, int], ...]
"""States of files: modification time in ns, size in bytes, inode of each."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on exit that file replaces `path`.

    The temporary file is in the folder of `path`, which must exist; it is synced to disk before
    the rename, and the folder after. A crash leaves the old file, or none, and at worst a `.tmp`.

    Raises:
        OSError: the system does not let it be written, also where a library writes it that has
            errors of its own (safetensors).
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's 0600 would hide it from another user's server
        sync(temporary)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if refused := _OF_THE_SYSTEM.search(str(error)):
            number = int(refused[1])
            raise OSError(number, os.strerror(number), str(path)) from None
        raise
    sync(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`, as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock that the system lets go of, whatever ends the process.

    Raises:
        AlreadyRunning: another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PROBE_S)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(f"{what} is running in another process") from None
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of `locked`."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def storage_error(error: OSError, task: str | None = None) -> StorageError:
    """Convert an error of the system to one that says what to do.

    Args:
        task: what could not be done, such as "write the index"; default, to use the file at fault.
    """
    kind, remedy = StorageError, "check the disk, then try again"
    if error.errno in _FULL:
        kind, remedy = DiskFull, "free some disk space, then try again"
    elif error.errno in _NOT_ALLOWED:
        remedy = "make sure that Satchel may write there, and that the disk is not read-only"
    elif error.errno in _IN_THE_WAY:
        remedy = "remove what is in its place"
    task = task or (f"use {error.filename}" if error.filename else "continue")
    return kind(f"cannot {task}: {reason(error)}; {remedy}")


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


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
