"""`satchel backup` and `satchel restore`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    open_workspace,
    print_result,
    print_table,
    say,
    say_first,
)

if TYPE_CHECKING:
    from satchel.backup.snapshots import BackupFolder, Snapshot

BackupArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of the backup, apart from the workspace.")
]


def backup(
    context: typer.Context,
    folder: BackupArgument,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Delete the oldest snapshots so that this many stay."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything in the backup; take no snapshot.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a snapshot of the workspace, which may be in use, to a backup; copy only what is new."""
    from satchel.workflows.backup import back_up

    if verify:
        _verify(folder, as_json)
        return
    workspace = open_workspace(context)
    with Bars() as bars:
        done = back_up(workspace, folder, keep=keep, progress=bars)
    say_first(done.problems)
    snapshot = done.snapshot
    if as_json:
        print_result(
            _described(snapshot)
            | {"folder": folder, "new": done.new, "written_bytes": done.written}
            | {"removed": done.removed, "problems": done.problems}
        )
    say(
        f"snapshot {snapshot.name}: {snapshot.products:,} products, {snapshot.photos:,} photos, "
        f"{len(snapshot.files):,} files; {done.new:,} new, {done.written / 1e6:,.1f} MB written to "
        f"{folder}"
    )
    if done.removed:
        say(f"{len(done.removed):,} older snapshots deleted")
    if done.problems:
        say(f"{len(done.problems):,} photos or files are not in it: see `satchel check`")
        raise typer.Exit(SOME_FAILED)


def _verify(folder: Path, as_json: bool) -> None:
    from satchel.backup.snapshots import BackupFolder
    from satchel.workflows.restore import verify

    found = BackupFolder.open(folder)
    with Bars() as bars:
        problems = verify(found, progress=bars)
    if as_json:
        print_result({"snapshots": found.names(), "problems": problems})
    say_first(problems)
    say(f"{len(found.names()):,} snapshots read, {len(problems):,} faults")
    if problems:
        raise typer.Exit(SOME_FAILED)


def restore(
    context: typer.Context,
    folder: BackupArgument,
    snapshot: Annotated[
        str | None, typer.Option(help="Which one; default, the newest. See --list.")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Also where the workspace is whole; what was there is kept."
        ),
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the snapshots; restore nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the workspace to the state of a snapshot; stop its server first."""
    from satchel.backup.snapshots import BackupFolder
    from satchel.workflows.restore import restore as restore_workspace
    from satchel.workspace import ENVIRONMENT

    if listing:
        _list(BackupFolder.open(folder), as_json)
        return
    target = Path(context.obj or os.environ.get(ENVIRONMENT) or ".")
    with Bars() as bars:
        done = restore_workspace(folder, target, name=snapshot, replace=replace, progress=bars)
    say_first(done.problems)
    found = done.snapshot
    if as_json:
        print_result(
            _described(found)
            | {"workspace": target.resolve(), "copied": done.copied, "replaced": done.replaced}
            | {"problems": done.problems}
        )
    say(
        f"restored {found.name} to {target.resolve()}: {found.products:,} products, "
        f"{found.photos:,} photos; {done.copied:,} photos and files brought back"
    )
    if done.replaced:
        say(f"what was there before and differed: {done.replaced}")
    if done.problems:
        say(f"{len(done.problems):,} are not in the backup, or damaged there")
        raise typer.Exit(SOME_FAILED)


def _described(snapshot: Snapshot) -> dict[str, object]:
    """What JSON says of a snapshot."""
    names = ("name", "made_at", "satchel", "products", "photos")
    return {name: getattr(snapshot, name) for name in names} | {"files": len(snapshot.files)}


def _list(backup: BackupFolder, as_json: bool) -> None:
    if as_json:
        print_result({"snapshots": [_described(backup.read(name)) for name in backup.names()]})
        return
    from rich.table import Table

    table = Table("snapshot", "made (UTC)", "products", "photos", "files", "Satchel")
    for name in backup.names():
        one = backup.read(name)
        table.add_row(
            name,
            f"{one.made_at:%Y-%m-%d %H:%M}",
            f"{one.products:,}",
            f"{one.photos:,}",
            f"{len(one.files):,}",
            one.satchel,
        )
    print_table(table)
