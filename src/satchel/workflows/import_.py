"""`satchel import`: read catalogue rows into a workspace, with a report of the refused ones."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satchel.catalog.importers import RowSource
from satchel.catalog.ingest import ImportCount, import_rows
from satchel.catalog.products import CatalogueSize
from satchel.catalog.rows import RowProblem
from satchel.files import timestamp
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.text import spreadsheet_cell
from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Result of an import.

    Attributes:
        size: of the catalogue afterwards.
        report: CSV file of the refused rows; written only where there are some.
    """

    count: ImportCount
    size: CatalogueSize
    report: Path


def import_catalogue(
    workspace: Workspace,
    source: RowSource,
    name: str,
    *,
    update: bool = False,
    on_problem: Callable[[Problem], None],
    progress: Progress = SILENT,
) -> ImportResult:
    """Import rows into a workspace.

    Args:
        name: of the source, which becomes a part of the report's name.
        update: let values that differ replace known ones, instead of refusing the row.
        on_problem: called with each refused row.

    Raises:
        StorageError: photos cannot be written at all, as on a full disk.
        WorkspaceError: the database cannot be written at all.
    """
    with _Report(workspace.reports, name) as report:

        def refuse(problem: RowProblem) -> None:
            report.add(problem)
            on_problem(problem)

        progress.begin("import", source.total)
        count = import_rows(
            source.rows(),
            workspace.catalogue,
            workspace.photos,
            limits=workspace.settings.photos.limits(),
            update=update,
            on_problem=refuse,
            progress=progress,
        )
    return ImportResult(count, workspace.catalogue.size(), report.path)


class _Report:
    """The refused rows as a CSV file, created with the first of them."""

    def __init__(self, folder: Path, name: str) -> None:
        # A name that every file system takes, of at most 40 × 4 bytes from the source's.
        stem = re.sub(r"[^\w.-]+", "_", name)[:40]
        self.path = folder / f"import-{timestamp()}-{stem}.csv"
        self._files = contextlib.ExitStack()
        self._writer: Any = None

    def __enter__(self) -> _Report:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, problem: RowProblem) -> None:
        """Write one refused row."""
        if self._writer is None:
            file = self._files.enter_context(
                # with a byte order mark, so that Excel reads it
                self.path.open("w", encoding="utf-8-sig", newline="")
            )
            self._writer = csv.writer(file)
            self._writer.writerow(("line", "column", "value", "reason"))
        texts = map(spreadsheet_cell, (problem.column, problem.value, problem.reason))
        self._writer.writerow((problem.line, *texts))
