"""`satchel import`: put products and their photos into the catalogue."""

from __future__ import annotations

import contextlib
import csv
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from satchel.cli.shared import (
    PROBLEMS_SHOWN,
    SOME_FAILED,
    Encoding,
    open_workspace,
    progress_bar,
    say,
    timestamp,
)
from satchel.errors import RowError
from satchel.text import spreadsheet_cell


def import_(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="CSV or JSONL file, or a folder per code.")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder that photo paths are relative to; default the file's own."),
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Let values that differ replace known ones."),
    ] = False,
    encoding: Encoding = None,
) -> None:
    """Put products and their photos into the catalogue."""
    from satchel.catalog.importers import open_rows
    from satchel.catalog.ingest import import_rows

    workspace = open_workspace(context)
    source = open_rows(path, photos, encoding)
    for note in source.notes:
        say(note)
    with (
        _ImportReport(workspace.reports, path) as report,
        progress_bar("import", source.total) as advance,
    ):
        count = import_rows(
            source.rows(),
            workspace.catalogue,
            workspace.photos,
            limits=workspace.settings.photos.limits(),
            update=update,
            on_problem=report.add,
            on_progress=advance,
        )
    size = workspace.catalogue.size()
    added = "added or changed" if update else "added"
    say(
        f"{count.rows:,} rows: {count.added:,} {added}, {count.unchanged:,} already there, "
        f"{count.problems:,} refused; the catalogue has {size.products:,} products and "
        f"{size.photos:,} photos"
    )
    if not count.rows:
        say(f"{path} holds no photos: expected rows in a file, or folders named by code")
        raise typer.Exit(SOME_FAILED)
    if count.problems:
        say(f"the refused rows, with reasons: {report.path}")
    if size.photos:
        say("next: satchel index; or satchel curate, which also sorts out copies and wrong photos")
    if count.problems:
        raise typer.Exit(SOME_FAILED)


class _ImportReport:
    """The refused rows as a CSV file, begun with the first of them; the first few also shown."""

    def __init__(self, folder: Path, source: Path) -> None:
        # A name that every file system takes, of at most 40 × 4 bytes from the source's.
        stem = re.sub(r"[^\w.-]+", "_", source.resolve().stem)[:40]
        self.path = folder / f"import-{timestamp()}-{stem}.csv"
        self._files = contextlib.ExitStack()
        self._writer: Any = None
        self._count = 0

    def __enter__(self) -> _ImportReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, error: RowError) -> None:
        """Write one refused row."""
        if self._writer is None:
            file = self._files.enter_context(
                # with a byte order mark, so that Excel reads it
                self.path.open("w", encoding="utf-8-sig", newline="")
            )
            self._writer = csv.writer(file)
            self._writer.writerow(("line", "column", "value", "reason"))
        texts = map(spreadsheet_cell, (error.column, error.value, error.reason))
        self._writer.writerow((error.line, *texts))
        self._count += 1
        if self._count <= PROBLEMS_SHOWN:
            say(str(error))
        elif self._count == PROBLEMS_SHOWN + 1:
            say("… and more, in the report")
