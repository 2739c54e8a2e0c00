"""`satchel check`: whether a workspace is whole, and repairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    FirstProblems,
    open_workspace,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from satchel.workflows.check import CheckResult


def check(
    context: typer.Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Make again what can be made again: the database's own indexes, embeddings, the "
            "index, and photos that --backup has.",
        ),
    ] = False,
    backup: Annotated[
        Path | None, typer.Option(help="Folder that satchel backup made, to take photos from.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check database, photos, models, embeddings and index; exit code 1 where a fault is left."""
    from satchel.backup.snapshots import BackupFolder
    from satchel.errors import UsageError
    from satchel.workflows.check import check_workspace

    if backup is not None and not repair:
        raise UsageError("--backup says where to take photos from: add --repair")
    workspace = open_workspace(context)
    objects = None if backup is None else BackupFolder.open(backup).objects
    with Bars() as bars:
        result = check_workspace(workspace, repair=repair, backup=objects, progress=bars)
    if as_json:
        print_json(_as_json(result))
    else:
        _print(result)
    if result.left:
        raise typer.Exit(SOME_FAILED)


def _print(result: CheckResult) -> None:
    from rich.table import Table

    problems = FirstProblems("… and more; --json names all")
    for fault in result.faults:
        problems(fault)
    table = Table("", "checked", "faults", "repaired")
    for column in table.columns[1:]:
        column.justify = "right"
    for part, count in result.checked.items():
        own = [fault for fault in result.faults if fault.part == part]
        repaired = sum(fault.repaired for fault in own)
        table.add_row(part, f"{count:,}", f"{len(own):,}", f"{repaired:,}")
    print_table(table)
    say("the workspace is whole" if not result.left else f"{len(result.left):,} faults are left")


def _as_json(result: CheckResult) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "whole": not result.left,
        "checked": {str(part): count for part, count in result.checked.items()},
        "faults": [asdict(fault) for fault in result.faults],
    }
