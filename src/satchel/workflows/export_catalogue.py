"""`satchel catalog export`: the catalogue as a folder that `satchel import` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.catalog.exporters import TableFormat, csv_lines, json_lines, photo_path
from satchel.errors import CatalogueError, UsageError
from satchel.files import atomic_path, write_atomically
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.validation import reason
from satchel.workspace import Workspace

NAME: Final = "catalogue"


@dataclass(frozen=True, slots=True)
class CatalogueExported:
    """Result of an export.

    Attributes:
        table: the file that `satchel import` takes.
        rows: in the table.
        photos: in the folder, those included that an earlier, killed run copied.
        without_photos: codes of products that the table cannot hold, since they have no photo.
        problems: photos whose file is gone; their rows are left out.
    """

    table: Path
    rows: int
    photos: int
    without_photos: tuple[str, ...]
    problems: tuple[Problem, ...]


def export_catalogue(
    workspace: Workspace,
    folder: Path,
    table_format: TableFormat,
    *,
    kept: bool = False,
    progress: Progress = SILENT,
) -> CatalogueExported:
    """Write the catalogue to a folder: a table, and the photos that it names.

    The table comes last: where it is, the export is whole. A killed export resumes.

    Args:
        kept: without photos that are dropped or in doubt.

    Raises:
        UsageError: the folder cannot be written to, or has a table of that name.
    """
    export, table = workspace.catalogue.exports, folder / f"{NAME}.{table_format}"
    if table.exists():
        raise UsageError(f"{table} exists, and is not overwritten: name another folder")
    try:
        (folder / "photos").mkdir(parents=True, exist_ok=True)
        progress.begin("copy photos", 0)
        missing: dict[str, Problem] = {}
        photos = 0
        for name in export.photos(kept=kept):
            problem = _copy(workspace, name, folder)
            if problem is None:
                photos += 1
            else:
                missing[photo_path(name)] = problem
            progress.advance()
        progress.begin("write the table", 0)
        rows = (row for row in export.rows(kept=kept) if row["photo"] not in missing)
        counted = _Counted(rows)
        lines = (
            csv_lines(export.columns(), counted)
            if table_format is TableFormat.CSV
            else json_lines(counted)
        )
        with (
            atomic_path(table) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            file.writelines(lines)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {reason(error)}; name another") from None
    return CatalogueExported(
        table,
        counted.count,
        photos,
        tuple(export.without_photos(kept=kept)),
        tuple(missing.values()),
    )


def _copy(workspace: Workspace, name: str, folder: Path) -> Problem | None:
    """Copy a photo, if it is not there yet; return why that is impossible."""
    target = folder / photo_path(name)
    if not target.exists():
        try:
            data = workspace.photos.read(name)
        except CatalogueError as error:
            return Problem(workspace.catalogue.describe_photo(name), str(error))
        write_atomically(target, data)
    return None


class _Counted:
    """Counts rows as they pass."""

    def __init__(self, rows: Iterable[dict[str, str]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, str]]:
        for row in self._rows:
            self.count += 1
            yield row
