"""A folder with a folder for each code, read as catalogue rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from satchel.catalog.file_names import as_text
from satchel.catalog.headers import CODE
from satchel.catalog.photo_folder import PhotoFolder
from satchel.catalog.rows import Row, RowProblem, check_inside, check_values, tidy
from satchel.folders import LINKS, is_photo, say_passed_over, system_entry, walk_files
from satchel.text import printable


@dataclass(slots=True)
class FolderSurvey:
    """Contents of a folder, counted before it is read."""

    photos: int = 0
    loose: int = 0
    others: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)

    def notes(self) -> Iterator[str]:
        """Yield what will not be read: photos of no code, other files, system files, links."""
        if self.loose:
            yield (
                f"passed over, photos outside the folders, which have no code ({self.loose:,}): "
                "put each into a folder named by its code"
            )
        if self.others:
            kinds = ", ".join(f"{kind} ({count:,})" for kind, count in self.others.most_common(5))
            yield f"passed over, by their names no photos: {kinds}"
        if self.passed_over:
            yield say_passed_over(self.passed_over)


def survey_folder(path: Path) -> FolderSurvey:
    """Count what a folder holds.

    Raises:
        OSError: it cannot be listed.
    """
    survey = FolderSurvey()
    for entry in _entries(path, survey.passed_over):
        if not entry.is_dir():
            survey.loose += is_photo(Path(entry.name))
    for _, file in _files_by_code(path, survey.passed_over):
        if isinstance(file, OSError):
            continue
        if is_photo(file):
            survey.photos += 1
        else:
            survey.others[printable(file.suffix.lower()) or "no suffix"] += 1
    return survey


def folder_rows(path: Path) -> Iterator[Row]:
    """Yield a row for each photo in the folders; one that cannot be listed is a problem."""
    root = PhotoFolder(path)
    for name, file in _files_by_code(path):
        code = tidy(as_text(name))
        if isinstance(file, OSError):
            reason = f"folder cannot be listed ({(file.strerror or 'unknown reason').lower()})"
            yield RowProblem.of(0, "photo", str(file.filename), reason, code=code)
        elif is_photo(file):
            # The file's own name may hold anything: it is not stored.
            photo = check_inside(0, str(file), file.resolve(), root)
            yield photo if isinstance(photo, RowProblem) else check_values(0, {CODE: code}, photo)


def _files_by_code(
    path: Path, passed_over: Counter[str] | None = None
) -> Iterator[tuple[str, Path | OSError]]:
    """Files in the folders below `path`, by name; a folder inside a code's belongs to it."""
    for folder in sorted(_entries(path), key=lambda entry: entry.name):
        if folder.is_dir() and folder.is_symlink():
            if passed_over is not None:
                passed_over[LINKS] += 1
        elif folder.is_dir():
            errors: list[OSError] = []
            for file in walk_files(folder.path, passed_over=passed_over, on_error=errors.append):
                yield folder.name, file
            yield from ((folder.name, error) for error in errors)


def _entries(path: Path, passed_over: Counter[str] | None = None) -> list[os.DirEntry[str]]:
    own = []
    with os.scandir(path) as entries:
        for entry in entries:
            kind = system_entry(entry.name, folder=entry.is_dir())
            if kind is None:
                own.append(entry)
            elif passed_over is not None:
                passed_over[kind] += 1
    return own
