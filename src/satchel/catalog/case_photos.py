"""Photos of cases: a folder for each case, `cases/TOKEN/1.jpg`, apart from the catalogue's."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from satchel.errors import CatalogueError
from satchel.files import storage_error, write_atomically

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")


class CasePhotos:
    """Photos in a folder, which can be deleted case by case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, token: str, photos: Sequence[bytes]) -> None:
        """Store the photos of a case, in place of those it had.

        Args:
            photos: JPEG files without metadata.

        Raises:
            StorageError: the folder cannot be written to.
        """
        self.remove(token)
        folder = self._of(token)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for position, data in enumerate(photos, start=1):
                write_atomically(folder / f"{position}.jpg", data)
        except OSError as error:
            self.remove(token)
            raise storage_error(error, f"write to {self.folder}") from None

    def path(self, token: str, position: int) -> Path:
        """Return the path of a photo, 1 for the first, whether or not it exists.

        Raises:
            CatalogueError: this cannot be a case's token.
        """
        return self._of(token) / f"{position}.jpg"

    def remove(self, token: str) -> None:
        """Delete the photos of a case; there may be none.

        Raises:
            StorageError: the folder cannot be written to.
        """
        folder = self._of(token)
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise storage_error(error, f"delete {folder}") from None

    def _of(self, token: str) -> Path:
        if not TOKEN.fullmatch(token):
            raise CatalogueError("there is no such case, or not any more")
        return self.folder / token
