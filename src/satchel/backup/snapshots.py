"""A backup folder: objects, and one manifest for each snapshot of a workspace.

    DIR/satchel-backup.json       says that this is a backup folder
    DIR/objects/ab/cd/abcd…       every photo, file and database, under its SHA-256, once
    DIR/snapshots/NAME.json       what a workspace held at one moment

A snapshot is there when its manifest is, which is written last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from satchel.backup.objects import ObjectStore
from satchel.errors import UsageError
from satchel.files import locked, write_atomically
from satchel.validation import StrictModel, reason

MARK: Final = "satchel-backup.json"
FORMAT: Final = "satchel-backup-1"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _inside(path: str) -> str:
    """Refuse a path that could lead out of the workspace."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\\" in path:
        raise ValueError(f"expected a path inside the workspace, got {path!r}")
    return path


class StoredFile(StrictModel):
    """A file of the workspace."""

    path: Annotated[str, AfterValidator(_inside)] = Field(description="below the workspace, by /")
    sha256: Sha256
    size: int = Field(ge=0)
    modified_ns: int


class Snapshot(StrictModel):
    """What a workspace held at one moment. The database names the photos."""

    format: Literal["satchel-backup-1"] = "satchel-backup-1"
    name: str = Field(pattern=r"^[0-9TZ-]{8,40}$")
    made_at: datetime
    satchel: str = Field(description="version")
    products: int
    photos: int
    database: StoredFile
    files: tuple[StoredFile, ...]


class BackupFolder:
    """A folder that holds snapshots. Open one with `BackupFolder.open`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = ObjectStore(folder / "objects")
        self._manifests = folder / "snapshots"

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> BackupFolder:
        """Open a backup folder.

        Args:
            create: make one where there is no folder, or an empty one.

        Raises:
            UsageError: it is none, and cannot or shall not be made one.
        """
        backup = cls(folder)
        if (folder / MARK).is_file():
            return backup
        if not create or (folder.exists() and not folder.is_dir()):
            raise UsageError(
                f"expected a folder that `satchel backup` made at {folder}, found none"
            )
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(
                f"expected a new, an empty or a backup folder at {folder}, found one with other "
                "files; name another"
            )
        for path in (backup.objects.folder, backup._manifests):
            path.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / MARK, f'{{"format": "{FORMAT}"}}\n'.encode())
        return backup

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one who writes here, and begin without leftovers of a kill.

        Raises:
            UsageError: another process writes here.
        """
        with locked(self.folder / "lock", f"another backup to {self.folder}"):
            self.objects.remove_leftovers()
            yield

    def names(self) -> list[str]:
        """Names of the snapshots, the oldest first."""
        return sorted(path.stem for path in self._manifests.glob("*.json"))

    def read(self, name: str | None = None) -> Snapshot:
        """Read a snapshot's manifest; default, the newest.

        Raises:
            UsageError: there is none, or it is damaged.
        """
        known = self.names()
        if not known or name not in (None, *known):
            raise UsageError(
                f"expected a snapshot named {name or 'anything'} in {self.folder}, found "
                f"{', '.join(known) or 'none'}"
            )
        path = self._manifests / f"{name or known[-1]}.json"
        try:
            return Snapshot.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"{path} cannot be read: {reason(error)}; choose another snapshot with --snapshot"
            ) from None

    def new_name(self) -> str:
        """A name for a snapshot made now, later than all others."""
        name, newest = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), max(self.names(), default="")
        if name > newest:
            return name
        stem, _, number = newest.partition("-")  # of the same second, or the clock went back
        return f"{stem}-{int(number or 1) + 1:04}"

    def add(self, snapshot: Snapshot) -> None:
        """Write a manifest: from now on the snapshot is there."""
        data = snapshot.model_dump_json(indent=1) + "\n"
        write_atomically(self._manifests / f"{snapshot.name}.json", data.encode())

    def remove(self, name: str) -> None:
        """Delete a manifest; its objects stay."""
        (self._manifests / f"{name}.json").unlink()
