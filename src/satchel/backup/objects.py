"""Files of a backup, each once, under the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from satchel.errors import CatalogueError
from satchel.files import sync

BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One file's content; whether it was not there before."""

    sha256: str
    size: int
    new: bool


class ObjectStore:
    """`objects/ab/cd/abcd…`: written whole or not at all, and never changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Path of an object, whether or not it exists."""
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def holds(self, sha256: str, size: int) -> bool:
        """Whether the object is there with all its bytes; they are not read."""
        path = self.path(sha256)
        return path.is_file() and path.stat().st_size == size

    def put(self, source: Path, *, sha256: str | None = None) -> StoredObject:
        """Copy a file into the store.

        Args:
            sha256: that its bytes must have; default, any.

        Raises:
            CatalogueError: they have another.
            OSError: it cannot be read, or not be written here.
        """
        handle, name = tempfile.mkstemp(suffix=".tmp", dir=self.folder)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as out, source.open("rb") as file:
                found, size = _copy(file, out)
                out.flush()
                os.fsync(out.fileno())
            if sha256 not in (None, found):
                raise CatalogueError(f"{source} is damaged: its SHA-256 is {found}")
            new = not self.holds(found, size)
            target = self.path(found)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        sync(target.parent)
        return StoredObject(found, size, new)

    @contextmanager
    def opened(self, sha256: str) -> Iterator[Path]:
        """Yield the path of an object whose bytes were verified.

        Raises:
            CatalogueError: it is missing or damaged.
        """
        fault = self.fault(sha256)
        if fault:
            raise CatalogueError(f"{self.path(sha256)} {fault}")
        yield self.path(sha256)

    def fault(self, sha256: str) -> str | None:
        """What is wrong with an object; its bytes are read."""
        try:
            with self.path(sha256).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None if found == sha256 else "is damaged"

    def names(self) -> Iterator[str]:
        """SHA-256 of every object."""
        for path in self.folder.glob("??/??/*"):
            yield path.name

    def remove(self, sha256: str) -> int:
        """Delete an object; return how many bytes it had."""
        path = self.path(sha256)
        size = path.stat().st_size
        path.unlink()
        return size

    def remove_leftovers(self) -> None:
        """Delete files that a kill left half written."""
        for path in self.folder.glob("*.tmp*"):
            path.unlink()


def _copy(file: BinaryIO, out: BinaryIO) -> tuple[str, int]:
    """Copy a file; return the SHA-256 of its bytes and their number."""
    digest, size = hashlib.sha256(), 0
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
        size += out.write(block)
    return digest.hexdigest(), size
