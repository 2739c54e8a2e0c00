"""Walking folders of photos; system files and links to folders are passed over and counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from satchel.photo_formats import PHOTO_SUFFIXES

SYSTEM_FOLDERS: Final = frozenset(
    {
        "@eadir",  # Synology: thumbnails of every photo, as JPEG
        "@tmp",
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "__macosx",
        "lost+found",
    }
)
SYSTEM_FILES: Final = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})


LINKS: Final = "links to folders"
"""Counts links to folders among what was passed over."""


def system_entry(name: str, *, folder: bool) -> str | None:
    """Name the kind of a file or folder that an operating system put among the photos.

    Returns:
        its name, or a pattern for many names; None for everything else.
    """
    lower = name.lower()
    if name.startswith("."):  # "._a.jpg" holds macOS metadata of a.jpg, and is no photo
        return "._*" if name.startswith("._") else ".*"
    if name.startswith("~$"):  # a lock of Microsoft Office
        return "~$*"
    return name if lower in (SYSTEM_FOLDERS if folder else SYSTEM_FILES) else None


def walk_files(
    folder: Path | str,
    *,
    passed_over: Counter[str] | None = None,
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[Path]:
    """Yield the files in a folder and the folders below it, by name.

    Links to folders are not followed: they can lead anywhere, and round in circles.

    Args:
        folder: where to begin, whatever its own name.
        passed_over: counts what was left out, by kind of `system_entry` or as `LINKS`.
        on_error: called for a folder that cannot be listed.
    """
    for parent, folders, files in os.walk(folder, onerror=on_error):
        own = sorted(_own(folders, passed_over, folder=True))
        folders[:] = [name for name in own if not Path(parent, name).is_symlink()]
        if passed_over is not None and len(own) > len(folders):
            passed_over[LINKS] += len(own) - len(folders)
        for name in sorted(_own(files, passed_over, folder=False)):
            yield Path(parent, name)


def is_photo(file: Path) -> bool:
    """Whether a file's name is that of a photo."""
    return file.suffix.lower() in PHOTO_SUFFIXES


def say_passed_over(passed_over: Counter[str]) -> str:
    """Describe what `walk_files` left out; empty where that is nothing."""
    kinds = ", ".join(
        f"{kind.strip()} ({count:,})" for kind, count in passed_over.most_common() if kind != LINKS
    )
    links = f"{LINKS} ({passed_over[LINKS]:,})" if passed_over[LINKS] else ""
    system = f"made by a NAS, Windows or macOS: {kinds}" if kinds else ""
    return ", ".join(["passed over", *filter(None, (links, system))]) if links or kinds else ""


def _own(names: list[str], passed_over: Counter[str] | None, *, folder: bool) -> Iterator[str]:
    for name in names:
        kind = system_entry(name, folder=folder)
        if kind is None:
            yield name
        elif passed_over is not None:
            passed_over[kind] += 1
