"""Path resolution for the photos of a catalogue file: in one folder and never outside it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from satchel.catalog.file_names import composed, readings

LISTINGS: Final = 64


class PhotoFolder:
    """The folder that photo paths are relative to.

    A catalogue made on one system and read on another names the same file in other characters:
    Hangul composed or decomposed, "a.JPG" for "a.jpg", names of a zip file in a wrong encoding. A
    path that does not exist as written is searched for by all of these.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._listing = lru_cache(LISTINGS)(_names_by_reading)

    def find(self, value: str) -> Path:
        r"""Resolve a path below the folder, written with / or \.

        Returns:
            a path that may be outside the folder, or not exist.

        Raises:
            OSError, ValueError: it is not a usable path.
        """
        written = Path(value.replace("\\", "/"))
        path = (self.root / written).resolve()
        return path if path.is_file() else self._searched(written).resolve()

    def holds(self, path: Path) -> bool:
        """Whether a resolved path is inside the folder."""
        return path.is_relative_to(self.root)

    def _searched(self, written: Path) -> Path:
        path = self.root
        if written.is_absolute() or ".." in written.parts:
            return path / written
        for part in written.parts:
            if (path / part).exists():
                path /= part
            else:
                path /= self._listing(path).get(_key(part), part)
            if not self.holds(path.resolve()):  # through a link: no folder outside is listed
                return path
        return path


def _key(name: str) -> str:
    return composed(name).casefold()


def _names_by_reading(folder: Path) -> dict[str, str]:
    """List a folder's names by what they may say; a name that says it as it is comes first."""
    if not folder.is_dir():
        return {}
    names = sorted((entry.name for entry in folder.iterdir()), reverse=True)
    other = {_key(reading): name for name in names for reading in readings(name)}
    return other | {_key(name): name for name in names}
