"""Finding the photos that an annotation file names, whose paths may be of another machine."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from satchel.catalog.photo_folder import PhotoFolder
from satchel.folders import is_photo, walk_files

AMBIGUOUS: Final = Path()


class PhotoFinder:
    """A folder of photos, searched by the paths of an annotation file; never outside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = PhotoFolder(folder)

    def find(self, written: str) -> Path | None:
        """Return a photo's path: as written, below `images`, or the only one of that name."""
        for candidate in (written, f"images/{written}"):
            try:
                path = self._folder.find(candidate)
                if self._folder.holds(path) and path.is_file():
                    return path
            except (OSError, ValueError):
                return None
        found = self._by_name.get(PurePosixPath(written).name)
        return None if found is None or found == AMBIGUOUS else found

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        paths: dict[str, Path] = {}
        for path in walk_files(self._folder.root):
            if is_photo(path):
                paths[path.name] = AMBIGUOUS if path.name in paths else path
        return paths
