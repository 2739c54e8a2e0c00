"""`satchel import`: read catalogue rows into a workspace, with a report of the refused ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.catalog.importers import RowSource
from satchel.catalog.ingest import ImportCount, import_rows
from satchel.catalog.products import CatalogueSize
from satchel.catalog.rows import RowProblem
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.workflows.problem_report import ProblemReport
from satchel.workspace import Workspace

COLUMNS: Final = ("line", "column", "value", "reason")


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
        StorageError: photos or rows cannot be written at all, as on a full disk.
        WorkspaceError: the database is damaged or gone.
    """
    with ProblemReport(workspace.reports, "import", name, COLUMNS) as report:

        def refuse(problem: RowProblem) -> None:
            report.add(problem.line, problem.column, problem.value, problem.reason)
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
