"""Content-addressed photo store: a folder of clean JPEG files, named by their SHA-256."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from satchel.errors import CatalogueError
from satchel.files import storage_error, write_atomically
from satchel.validation import reason

_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data`, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class PhotoStore:
    """Photos in a folder, `ab/cd/abcd….jpg`, two levels deep so that no folder gets crowded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, data: bytes) -> str:
        """Store bytes, if they are not there yet, and return their SHA-256.

        Raises:
            StorageError: the folder cannot be written to.
        """
        name = sha256(data)
        path = self.path(name)
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, data)
        except OSError as error:
            raise storage_error(error, f"write to the photo store in {self.folder}") from None
        return name

    def remove(self, name: str) -> bool:
        """Delete the photo with this SHA-256; return whether it was there.

        Raises:
            StorageError: the folder cannot be written to.
        """
        path = self.path(name)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise storage_error(error, f"delete {path}") from None
        return True

    def path(self, name: str) -> Path:
        """Return the path of the photo with this SHA-256, whether or not it exists.

        Raises:
            CatalogueError: `name` is not a SHA-256.
        """
        if not _SHA256.fullmatch(name):
            raise CatalogueError(f"expected a SHA-256 (64 hexadecimal digits), got {name!r}")
        return self.folder / name[:2] / name[2:4] / f"{name}.jpg"

    def read(self, name: str) -> bytes:
        """Return a photo's bytes.

        Raises:
            CatalogueError: it is not in the store, or cannot be read.
        """
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            raise CatalogueError(
                f"photo {name} is in the catalogue and its file is gone from the photo store; "
                "restore photos/ from a backup or import the photo again"
            ) from None
        except OSError as error:
            raise CatalogueError(
                f"photo {name} cannot be read from the photo store: {reason(error)}"
            ) from None

    def read_or_none(self, name: str) -> bytes | None:
        """Return a photo's bytes, or None where it is gone: for pages that can do without it."""
        try:
            return self.read(name)
        except CatalogueError:
            return None
