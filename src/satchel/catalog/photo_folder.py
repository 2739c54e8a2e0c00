"""Path resolution for the photos of a catalogue file: in one folder and never outside it."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

LISTINGS: Final = 64


class PhotoFolder:
    """The folder that photo paths are relative to.

    macOS writes Hangul file names decomposed (NFD: ㄱ + ㅏ), other systems composed (NFC: 가). A
    catalogue made on one and read on the other names the same file in other code points; a path
    that does not exist as written is searched for by its normalized components.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._listing = lru_cache(LISTINGS)(_names_by_nfc)

    def find(self, value: str) -> Path:
        r"""Resolve a path below the folder, written with / or \.

        Returns:
            a path that may be outside the folder, or not exist.

        Raises:
            OSError, ValueError: it is not a usable path.
        """
        written = Path(value.replace("\\", "/"))
        path = (self.root / written).resolve()
        if value.isascii() or path.is_file():
            return path
        return self._normalized(written).resolve()

    def holds(self, path: Path) -> bool:
        """Whether a resolved path is inside the folder."""
        return path.is_relative_to(self.root)

    def _normalized(self, written: Path) -> Path:
        path = self.root
        if written.is_absolute() or ".." in written.parts:
            return path / written
        for part in written.parts:
            if part.isascii() or (path / part).exists():
                path /= part
            else:
                path /= self._listing(path).get(unicodedata.normalize("NFC", part), part)
            if not self.holds(path.resolve()):  # through a link: no folder outside is listed
                return path
        return path


def _names_by_nfc(folder: Path) -> dict[str, str]:
    """List a folder's non-ASCII names by their composed form."""
    if not folder.is_dir():
        return {}
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.isascii())
    return {unicodedata.normalize("NFC", name): name for name in reversed(names)}
