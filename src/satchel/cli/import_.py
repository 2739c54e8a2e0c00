"""`satchel import`: put products and their photos into the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from satchel.cli.shared import SOME_FAILED, Bars, Encoding, FirstProblems, open_workspace, say


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
    from satchel.workflows.import_ import import_catalogue

    workspace = open_workspace(context)
    source = open_rows(path, photos, encoding)
    for note in source.notes:
        say(note)
    with Bars() as bars:
        done = import_catalogue(
            workspace,
            source,
            path.resolve().stem,
            update=update,
            on_problem=FirstProblems("… and more, in the report"),
            progress=bars,
        )
    count, size = done.count, done.size
    added = "added or changed" if update else "added"
    say(
        f"{count.rows:,} rows: {count.added:,} {added}, {count.unchanged:,} already there, "
        f"{count.problems:,} refused; the catalogue has {size.products:,} products and "
        f"{size.photos:,} photos"
    )
    if count.differing:
        say(
            f"{count.differing:,} of the rows already there have other values now, which were "
            "ignored: import with --update to apply them"
        )
    if not count.rows:
        say(
            f"nothing to import in {path}: expected rows in a file, or photos in folders named by "
            "code"
        )
        raise typer.Exit(SOME_FAILED)
    if count.problems:
        say(f"the refused rows, with reasons: {done.report}")
    if count.problems < count.rows:
        say("next: satchel index; or satchel curate, which also sorts out copies and wrong photos")
    if count.problems:
        raise typer.Exit(SOME_FAILED)
