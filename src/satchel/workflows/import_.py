"""`satchel import`: read catalogue rows into a workspace, with a report of the refused ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from satchel.catalog.headers import CODE, PHOTO
from satchel.catalog.importers import RowSource
from satchel.catalog.ingest import ImportCount, import_rows
from satchel.catalog.photos import PhotoStore
from satchel.catalog.products import CatalogueSize
from satchel.catalog.rehearsal import rehearsal
from satchel.catalog.rows import AddressRow, RowProblem
from satchel.catalog.store import Catalogue
from satchel.decoding.pool import DecoderPool
from satchel.progress import SILENT, Progress
from satchel.workflows.problem_report import ProblemReport
from satchel.workflows.refusals import Refusals
from satchel.workspace import Workspace

COLUMNS: Final = ("line", "column", "value", "reason")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Result of an import.

    Attributes:
        size: of the catalogue afterwards.
        refusals: the refused rows by reason.
        report: CSV file of the refused rows; written only where there are some.
        addresses: JSON Lines file of the rows whose photo is an address: a catalogue file, to be
            imported once the photos are there; written only where there are some.
    """

    count: ImportCount
    size: CatalogueSize
    refusals: Refusals
    report: Path
    addresses: Path


def import_catalogue(
    workspace: Workspace,
    source: RowSource,
    name: str,
    *,
    update: bool = False,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> ImportResult:
    """Import rows into a workspace.

    Args:
        name: of the source, which becomes a part of the report's name.
        update: let values that differ replace known ones, instead of refusing the row.
        dry_run: find out what would happen, and write nothing, no report either.

    Raises:
        StorageError: photos or rows cannot be written at all, as on a full disk.
        WorkspaceError: the database is damaged or gone.
    """
    refusals = Refusals()
    with ExitStack() as files:
        catalogue, photos = files.enter_context(_target(workspace, dry_run=dry_run))
        report = files.enter_context(ProblemReport(workspace.reports, "import", name, COLUMNS))
        aside = files.enter_context(_Aside(report.path.with_suffix(".addresses.jsonl")))

        def refuse(problem: RowProblem) -> None:
            if isinstance(problem, AddressRow):
                if not dry_run:
                    aside.add(problem)
                return
            refusals.add(problem)
            if not dry_run:
                report.add(problem.line, problem.column, problem.value, problem.reason)

        progress.begin("rehearse" if dry_run else "import", source.total)
        limits = workspace.settings.photos.limits()
        decoder = files.enter_context(DecoderPool(memory_bytes=limits.max_decode_bytes))
        count = import_rows(
            source.rows(),
            catalogue,
            photos,
            limits=limits,
            decoder=decoder,
            update=update,
            on_problem=refuse,
            progress=progress,
        )
        return ImportResult(count, catalogue.size(), refusals, report.path, aside.path)


@contextmanager
def _target(workspace: Workspace, *, dry_run: bool) -> Iterator[tuple[Catalogue, PhotoStore]]:
    if not dry_run:
        yield workspace.catalogue, workspace.photos
        return
    with rehearsal(workspace.catalogue, workspace.photos.folder) as copies:
        yield copies


class _Aside:
    """The rows whose photo is an address, as JSON Lines; created with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> _Aside:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: AddressRow) -> None:
        """Write one row."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        line = {CODE: row.code, PHOTO: row.value, **row.values}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
