"""`satchel restore`: a workspace as it was; and the check of a backup without restoring it.

Nothing is deleted: what differs is moved to a folder `replaced-…`. The database comes last, so that
a restore that is killed is run again and completes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.backup.objects import ObjectStore
from satchel.backup.snapshots import BackupFolder, Snapshot, StoredFile
from satchel.backup.workspace_files import (
    DATABASE,
    REPLACED,
    database_files,
    is_unchanged,
    workspace_files,
)
from satchel.catalog.photos import PhotoStore, sha256
from satchel.catalog.snapshot import database_faults, stored_photos
from satchel.errors import CatalogueError, IndexMissing, SatchelError, UsageError, WorkspaceError
from satchel.files import atomic_path, storage_error, sync, timestamp
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.search.indexing import build_index
from satchel.served import served_space
from satchel.workspace import FOLDERS, Workspace

BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """Result of a restore.

    Attributes:
        copied: photos and files that were brought back; the others were there, unchanged.
        replaced: folder that holds what was there before and differed; None where nothing did.
        problems: what the backup does not have any more, or has damaged.
    """

    snapshot: Snapshot
    copied: int
    replaced: Path | None
    problems: tuple[Problem, ...]


def restore(
    folder: Path,
    target: Path,
    *,
    name: str | None = None,
    replace: bool = False,
    progress: Progress = SILENT,
) -> RestoreResult:
    """Bring a workspace to the state of a snapshot, and build its index.

    Args:
        folder: that `satchel backup` made.
        target: the workspace, which may be damaged, or not exist.
        name: of the snapshot; default, the newest.
        replace: a workspace whose database is whole may be replaced.

    Raises:
        UsageError: there is no such backup or snapshot, or the workspace is whole.
        CatalogueError: the snapshot's database is missing or damaged; nothing was changed.
        StorageError: the workspace cannot be written to.
    """
    target = target.absolute()
    backup = BackupFolder.open(folder)
    snapshot = backup.read(name)
    if not replace and _is_whole(target / DATABASE):
        raise UsageError(
            f"{target} has a database that is whole: restore to another folder with `satchel "
            "--workspace DIR restore …`, or replace it with --replace, which keeps what was there"
        )
    try:
        with backup.objects.opened(snapshot.database.sha256) as database:
            return _Restoring(backup.objects, snapshot, target, progress).run(database)
    except OSError as error:
        raise storage_error(error, f"restore to {target}") from None


def verify(backup: BackupFolder, *, progress: Progress = SILENT) -> list[Problem]:
    """Read everything in a backup, and name what is missing or damaged, by snapshot."""
    problems: list[Problem] = []
    known: dict[str, str | None] = {}
    for name in backup.names():
        try:
            snapshot = backup.read(name)
        except UsageError as error:
            problems.append(Problem(name, str(error)))
            continue
        problems += [
            Problem(f"{name}: {what}", fault)
            for what, fault in _faults_of(backup.objects, snapshot, known, progress)
        ]
    return problems


def _faults_of(
    objects: ObjectStore, snapshot: Snapshot, known: dict[str, str | None], progress: Progress
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong in a snapshot; `known` holds the faults of objects read before."""
    named = [(file.path, file.sha256) for file in (snapshot.database, *snapshot.files)]
    database = objects.path(snapshot.database.sha256)
    if objects.fault(snapshot.database.sha256) is None:
        yield from ((DATABASE, fault) for fault in database_faults(database))
        named += [(f"photo {name}", name) for name, _ in stored_photos(database)]
    unread = [name for name in dict.fromkeys(name for _, name in named) if name not in known]
    if unread:
        progress.begin(snapshot.name, len(unread))
    faults = map_in_order(objects.fault, unread, workers=cores())
    for some in batched(zip(unread, faults, strict=True), BATCH):
        known.update(some)
        progress.advance(len(some))
    for what, name in named:
        if fault := known[name]:
            yield what, fault


class _Restoring:
    def __init__(
        self, objects: ObjectStore, snapshot: Snapshot, target: Path, progress: Progress
    ) -> None:
        self._objects, self._snapshot, self._target = objects, snapshot, target
        self._progress = progress
        self._replaced = target / f"{REPLACED}{timestamp()}"
        self._copied = 0
        self._problems: list[Problem] = []

    def run(self, database: Path) -> RestoreResult:
        """Restore photos, files, and last the database."""
        for folder in FOLDERS:
            (self._target / folder).mkdir(parents=True, exist_ok=True)
        self._photos(stored_photos(database))
        self._files(self._snapshot.files)
        for path in database_files(self._target):
            self._set_aside(path.name)
        _copy(database, self._target / DATABASE)
        self._index()
        replaced = self._replaced if self._replaced.exists() else None
        return RestoreResult(self._snapshot, self._copied, replaced, tuple(self._problems))

    def _photos(self, photos: Sequence[tuple[str, int]]) -> None:
        store = PhotoStore(self._target / "photos")
        self._progress.begin("photos", len(photos))
        done = map_in_order(lambda photo: self._photo(store, photo[0]), photos, workers=cores())
        for some in batched(done, BATCH):
            self._copied += sum(one is True for one in some)
            self._problems += [one for one in some if isinstance(one, Problem)]
            self._progress.advance(len(some))

    def _photo(self, store: PhotoStore, name: str) -> bool | Problem:
        """Restore a photo; return whether it was missing or damaged."""
        with suppress(CatalogueError):
            if sha256(store.read(name)) == name:
                return False
        try:
            with self._objects.opened(name) as found:
                data = found.read_bytes()
        except CatalogueError as error:
            return Problem(f"photo {name}", str(error))
        self._set_aside(store.path(name).relative_to(self._target).as_posix())
        store.put(data)
        return True

    def _files(self, files: Sequence[StoredFile]) -> None:
        wanted = {file.path: file for file in files}
        for name, path in list(workspace_files(self._target)):
            known = wanted.get(name)
            if known is not None and is_unchanged(path, known):
                wanted.pop(name)
            else:
                self._set_aside(name)
        if wanted:
            self._progress.begin("files", len(wanted))
        for file in wanted.values():
            try:
                with self._objects.opened(file.sha256) as found:
                    _copy(found, self._target / file.path, modified_ns=file.modified_ns)
                self._copied += 1
            except CatalogueError as error:
                self._problems.append(Problem(file.path, str(error)))
            self._progress.advance()

    def _set_aside(self, name: str) -> None:
        path = self._target / name
        if path.exists():
            aside = self._replaced / name
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.rename(aside)
            sync(path.parent)

    def _index(self) -> None:
        """Build the index, so that the first answer need not wait; it is of another state now."""
        try:
            workspace = Workspace.open(self._target)
            try:
                space = served_space(workspace)
                build_index(
                    workspace.catalogue, space, workspace.index_path, workspace.settings.search
                )
            finally:
                workspace.catalogue.close()
        except IndexMissing:
            (self._target / "index" / "gallery.safetensors").unlink(missing_ok=True)
        except SatchelError as error:
            self._problems.append(Problem("index", str(error)))


def _copy(source: Path, target: Path, *, modified_ns: int | None = None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
        if modified_ns is not None:
            os.utime(temporary, ns=(modified_ns, modified_ns))


def _is_whole(path: Path) -> bool:
    """Whether there is a database of Satchel that can be read."""
    from satchel.catalog.store import Catalogue  # noqa: PLC0415 - see Workspace.catalogue

    if not path.exists():
        return False
    try:
        catalogue = Catalogue.open(path)
    except WorkspaceError:
        return False
    try:
        catalogue.size()
    except WorkspaceError:
        return False
    finally:
        catalogue.close()
    return True
