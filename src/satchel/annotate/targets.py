"""Where annotations are written: a folder that appears whole, and names that stay inside it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from satchel.errors import UsageError


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yield a new folder to write to; on exit it becomes `folder`.

    Raises:
        UsageError: `folder` is there and not empty, or cannot be made.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"expected a new or empty folder, {folder} holds files; name another")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; name another") from None
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide it from other users
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def inside(path: str) -> PurePosixPath:
    """Return a photo's path, to be written below a folder.

    Raises:
        UsageError: it leads out of that folder.
    """
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or not relative.name:
        raise UsageError(f"expected a photo's path below the folder, got {path!r}")
    return relative
