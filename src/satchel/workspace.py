"""The workspace: a folder with a catalogue, its index, runs and models."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from satchel.catalog.case_photos import CasePhotos
from satchel.catalog.photos import PhotoStore
from satchel.config import FILE_NAME, Settings, default_settings_text, read_settings
from satchel.errors import UsageError, WorkspaceError
from satchel.files import write_atomically
from satchel.validation import reason

if TYPE_CHECKING:
    from satchel.catalog.store import Catalogue
    from satchel.jobs.queue import JobQueue

ENVIRONMENT: Final = "SATCHEL_WORKSPACE"
DATABASE: Final = "satchel.db"
FOLDERS: Final = ("photos", "models", "index", "runs")


@dataclass(frozen=True)
class Workspace:
    """Paths and settings of a workspace. Open one with `Workspace.open`."""

    folder: Path
    settings: Settings

    @classmethod
    def create(cls, folder: Path) -> Workspace:
        """Make a workspace in `folder`, which may exist; what is there already stays.

        Only here a database is made, and not where photos lie already: they are of one that is
        lost, and an empty catalogue in its place would hide that.

        Raises:
            WorkspaceError: the folder cannot be written to, or its database is lost or damaged.
        """
        from satchel.catalog.store import Catalogue  # noqa: PLC0415 - see `catalogue`

        folder = folder.absolute()
        try:
            if folder.exists() and not folder.is_dir():
                raise WorkspaceError(
                    f"expected a folder to make the workspace in, got the file {folder}; name "
                    "another"
                )
            for name in FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
            photos = any((folder / "photos").iterdir())
            Catalogue.open(folder / DATABASE, create=not photos).close()
            # Last, since it makes the folder a workspace: a kill before leaves none.
            if not (folder / FILE_NAME).exists():
                write_atomically(folder / FILE_NAME, default_settings_text().encode())
        except OSError as error:
            raise WorkspaceError(f"cannot make a workspace in {folder}: {reason(error)}") from None
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path | str | None = None) -> Workspace:
        """Open the workspace in `folder`; default, $SATCHEL_WORKSPACE or the current directory.

        Raises:
            WorkspaceError: there is none, or its settings cannot be read or do not parse.
        """
        chosen = Path(folder or os.environ.get(ENVIRONMENT) or ".").resolve()
        if not os.path.isfile(chosen / FILE_NAME):  # noqa: PTH113 - Path's raises where not allowed
            raise WorkspaceError(
                f"expected a workspace (a folder with {FILE_NAME}) at {chosen}, found none; "
                f"make one with `satchel init {chosen}`, or name yours with "
                f"`satchel --workspace DIR …` or ${ENVIRONMENT}"
            )
        return cls(chosen, read_settings(chosen / FILE_NAME))

    @cached_property
    def catalogue(self) -> Catalogue:
        """The database, opened on first use; its libraries are imported then, not before."""
        from satchel.catalog.store import Catalogue  # noqa: PLC0415

        return Catalogue.open(self.folder / DATABASE)

    @cached_property
    def jobs(self) -> JobQueue:
        """The queue of jobs, in the catalogue's database."""
        from satchel.jobs.queue import JobQueue  # noqa: PLC0415

        return JobQueue(self.catalogue.engine)

    @cached_property
    def photos(self) -> PhotoStore:
        """The photo store."""
        return PhotoStore(self.folder / "photos")

    @cached_property
    def case_photos(self) -> CasePhotos:
        """Photos of cases, which are kept only where a person wants it."""
        return CasePhotos(self.folder / "cases")

    @property
    def market_folder(self) -> Path:
        """Where the resale service keeps photos of listings."""
        return self.folder / "market"

    @cached_property
    def market_photos(self) -> PhotoStore:
        """Photos of listings, clean, apart from the catalogue's."""
        return PhotoStore(self.market_folder / "photos")

    @property
    def index_path(self) -> Path:
        """Path of the index file."""
        return self.folder / "index" / "gallery.safetensors"

    @property
    def models(self) -> Path:
        """Where promoted models lie, a folder each."""
        return self.folder / "models"

    @property
    def runs(self) -> Path:
        """Where training runs lie, a folder each."""
        return self.folder / "runs"

    def split_path(self, name: str) -> Path:
        """Path of the split of this name.

        Raises:
            UsageError: the name could lead out of the folder.
        """
        if not re.fullmatch(r"[\w.-]{1,80}", name) or name.startswith("."):
            raise UsageError(
                f"expected a split's name of letters, digits, -, _ and ., got {name!r}"
            )
        return self.folder / "splits" / f"{name}.json"

    @property
    def reports(self) -> Path:
        """Where reports of imports and other runs go."""
        return self.folder / "runs"
