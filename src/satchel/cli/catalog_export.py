"""`satchel catalog export`: the catalogue as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import (
    PROBLEMS_SHOWN,
    SOME_FAILED,
    AsJson,
    Bars,
    counted,
    open_workspace,
    print_json,
    say,
    say_first,
)
from satchel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from satchel.records import Problem

FORMATS = "csv, jsonl, coco"


def export(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to write to; made if need be.")],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            help=f"One of {FORMATS}. csv and jsonl are tables for `satchel import`; coco has the "
            "boxes, to train detectors on.",
        ),
    ] = "csv",
    kept: Annotated[
        bool, typer.Option("--kept", help="Without photos that are left out or in doubt.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write products, their columns and photos to a folder that `satchel import` reads."""
    from satchel.catalog.exporters import TableFormat
    from satchel.workflows.export_catalogue import export_catalogue

    if format_name not in FORMATS.split(", "):
        raise UsageError(f"expected --format, one of {FORMATS}, got {format_name!r}")
    if kept and format_name == "coco":
        raise UsageError("expected --kept with csv or jsonl; boxes are exported of all photos")
    if format_name == "coco":
        _export_boxes(context, folder, as_json)
        return
    workspace = open_workspace(context)
    with Bars() as bars:
        done = export_catalogue(
            workspace, folder, TableFormat(format_name), kept=kept, progress=bars
        )
    if as_json:
        figures = {"rows": done.rows, "without_photos": list(done.without_photos)}
        _print(done.table, done.photos, done.problems, figures)
        return
    say(f"{counted(done.rows, 'row')} and {counted(done.photos, 'photo')}: {done.table}")
    if done.without_photos:
        some = ", ".join(done.without_photos[:PROBLEMS_SHOWN])
        more = len(done.without_photos) - PROBLEMS_SHOWN
        say(f"left out, since a row needs a photo: {some}{f' and {more:,} more' * (more > 0)}")
    say_first(done.problems)
    if done.problems:
        raise typer.Exit(SOME_FAILED)


def _export_boxes(context: typer.Context, folder: Path, as_json: bool) -> None:
    """The boxes as COCO JSON, with their photos."""
    from satchel.workflows.annotate import export_annotations

    table = folder / "annotations.json"
    if table.exists():
        raise UsageError(f"{table} exists, and is not overwritten: name another folder")
    workspace = open_workspace(context)
    with Bars(resumes=False) as bars:
        done = export_annotations(workspace, table, "coco", photos=folder / "photos", progress=bars)
    if as_json:
        _print(table, done.photos, done.problems, {"boxes": done.categories})
        return
    say(f"{counted(done.photos, 'photo')} with boxes: {table}")
    say_first(done.problems)
    if done.problems:
        raise typer.Exit(SOME_FAILED)


def _print(
    table: Path, photos: int, problems: Sequence[Problem], figures: Mapping[str, object]
) -> None:
    """Print what was exported as JSON."""
    faults = [str(problem) for problem in problems]
    print_json({"table": str(table), "photos": photos, **figures, "problems": faults})
    if problems:
        raise typer.Exit(SOME_FAILED)
