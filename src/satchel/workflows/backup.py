"""`satchel backup`: a consistent snapshot of a workspace that is in use.

The database is copied first, at one moment; then the photos that the copy names. A photo's file is
written before the row that names it, so whatever is added meanwhile belongs to the next snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from satchel import __version__
from satchel.backup.objects import StoredObject
from satchel.backup.snapshots import BackupFolder, Snapshot, StoredFile
from satchel.backup.workspace_files import DATABASE, is_unchanged, workspace_files
from satchel.catalog.snapshot import (
    copy_database,
    count_products,
    database_faults,
    stored_photos,
)
from satchel.errors import CatalogueError, UsageError, WorkspaceError
from satchel.files import storage_error
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.validation import reason
from satchel.workspace import Workspace

ROUNDS: Final = 3
"""Copies of the database, at most, where photos are deleted while they are backed up."""

BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class BackupResult:
    """Result of a backup.

    Attributes:
        new: files and photos that the backup folder did not have, the database not counted.
        written: bytes of all that is new.
        removed: names of older snapshots that were deleted.
        problems: photos and files that are not in the snapshot.
    """

    snapshot: Snapshot
    new: int
    written: int
    removed: tuple[str, ...]
    problems: tuple[Problem, ...]


def back_up(
    workspace: Workspace, folder: Path, *, keep: int | None = None, progress: Progress = SILENT
) -> BackupResult:
    """Add a snapshot of a workspace to a backup folder; what is there already is not copied.

    Args:
        keep: delete the oldest snapshots so that this many stay; default, none is deleted.

    Raises:
        UsageError: the folder is none for backups, or inside the workspace, or the reverse.
        WorkspaceError: the database is damaged: earlier snapshots stay as they are.
        StorageError: the folder cannot be written to.
    """
    folder = folder.absolute()
    _require_apart(folder.resolve(), workspace.folder.resolve())
    try:
        backup = BackupFolder.open(folder, create=True)
        with backup.writing():
            taken = _Taken(workspace, backup, progress)
            result = taken.snapshot()
            removed = () if keep is None else remove_oldest(backup, keep)
    except OSError as error:
        raise storage_error(error, f"back up to {folder}") from None
    return BackupResult(result, taken.new, taken.written, removed, tuple(taken.problems))


def remove_oldest(backup: BackupFolder, keep: int) -> tuple[str, ...]:
    """Delete all but the newest snapshots, then the objects that none of those names.

    Manifests go first: a kill leaves at worst objects that nothing names, which the next run finds.
    """
    names = backup.names()
    removed = tuple(names[: max(0, len(names) - keep)])
    used: set[str] = set()
    for name in names[len(removed) :]:  # read before anything is deleted
        snapshot = backup.read(name)
        used.update(file.sha256 for file in (snapshot.database, *snapshot.files))
        with backup.objects.opened(snapshot.database.sha256) as database:
            used.update(sha256 for sha256, _ in stored_photos(database))
    for name in removed:
        backup.remove(name)
    for sha256 in set(backup.objects.names()) - used:
        backup.objects.remove(sha256)
    return removed


class _Taken:
    """One snapshot as it is made."""

    def __init__(self, workspace: Workspace, backup: BackupFolder, progress: Progress) -> None:
        self._workspace, self._backup, self._progress = workspace, backup, progress
        self._known = _known_files(backup)
        self.new, self.written = 0, 0
        self.problems: list[Problem] = []

    def snapshot(self) -> Snapshot:
        """Copy everything, and write the manifest last."""
        for _ in range(ROUNDS):
            self.problems.clear()
            database, photos, products = self._database()
            lost = self._photos(photos)
            if not lost - self._still_named():
                break
        files = self._files()
        snapshot = Snapshot(
            name=self._backup.new_name(),
            made_at=datetime.now(UTC),
            satchel=__version__,
            products=products,
            photos=len(photos),
            database=database,
            files=files,
        )
        self._backup.add(snapshot)
        return snapshot

    def _database(self) -> tuple[StoredFile, list[tuple[str, int]], int]:
        """Copy the database; return it, its photos and how many products it has."""
        copy = self._backup.objects.folder / "database.tmp"
        copy.unlink(missing_ok=True)
        try:
            copy_database(self._workspace.folder / DATABASE, copy, progress=self._progress)
            if faults := database_faults(copy):
                raise WorkspaceError(
                    f"the database is damaged ({faults[0]}), and was not backed up; earlier "
                    "snapshots are kept: see what `satchel check` says, or restore one of them"
                )
            photos, products = stored_photos(copy), count_products(copy)
            stored = self._add(copy)
        finally:
            copy.unlink(missing_ok=True)
        return self._entry(DATABASE, copy=stored, modified_ns=0), photos, products

    def _photos(self, photos: Iterable[tuple[str, int]]) -> set[str]:
        """Copy the photos that the backup does not have; return those that cannot be."""
        held = self._backup.objects.holds
        wanted = [sha256 for sha256, size in photos if not held(sha256, size)]
        if wanted:
            self._progress.begin("photos", len(wanted))
        done = map_in_order(self._photo, wanted, workers=cores())
        lost = set()
        for some in batched(zip(wanted, done, strict=True), BATCH):
            for sha256, copied in some:
                if isinstance(copied, StoredObject):
                    self.new, self.written = self.new + 1, self.written + copied.size
                else:
                    self.problems.append(copied)
                    lost.add(sha256)
            self._progress.advance(len(some))
        return lost

    def _photo(self, sha256: str) -> StoredObject | Problem:
        source = self._workspace.photos.path(sha256)
        describe = partial(self._workspace.catalogue.describe_photo, sha256)
        try:
            return self._backup.objects.put(source, sha256=sha256)
        except FileNotFoundError:
            return Problem(describe(), "its file is gone from the photo store")
        except CatalogueError as error:
            return Problem(describe(), str(error))

    def _still_named(self) -> set[str]:
        """Photos that the database names by now."""
        return {sha256 for sha256, _ in stored_photos(self._workspace.folder / DATABASE)}

    def _files(self) -> tuple[StoredFile, ...]:
        """Copy settings, models, splits, runs and whatever else lies in the workspace."""
        files = []
        for name, path in workspace_files(self._workspace.folder):
            try:
                files.append(self._file(name, path))
            except PermissionError as error:
                self.problems.append(Problem(name, reason(error)))
            except FileNotFoundError:  # deleted meanwhile
                continue
        return tuple(files)

    def _file(self, name: str, path: Path) -> StoredFile:
        known, held = self._known.get(name), self._backup.objects.holds
        if known and is_unchanged(path, known) and held(known.sha256, known.size):
            return known
        modified_ns = path.stat().st_mtime_ns  # before reading: a later change is seen next time
        return self._entry(name, copy=self._add(path, counted=True), modified_ns=modified_ns)

    def _add(self, path: Path, *, counted: bool = False) -> StoredObject:
        stored = self._backup.objects.put(path)
        if stored.new:
            self.new += counted
            self.written += stored.size
        return stored

    @staticmethod
    def _entry(name: str, *, copy: StoredObject, modified_ns: int) -> StoredFile:
        return StoredFile(path=name, sha256=copy.sha256, size=copy.size, modified_ns=modified_ns)


def _known_files(backup: BackupFolder) -> dict[str, StoredFile]:
    """Files of the newest snapshot, by name; none where there is none, or it is damaged."""
    try:
        return {file.path: file for file in backup.read().files}
    except UsageError:
        return {}


def _require_apart(folder: Path, workspace: Path) -> None:
    if folder.is_relative_to(workspace) or workspace.is_relative_to(folder):
        raise UsageError(
            f"expected a folder apart from the workspace {workspace}, got {folder}; best on "
            "another disk"
        )
