"""`satchel annotate`: boxes on photos, from and to annotation tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.annotate_tools import import_report, pull, push, suggest
from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    FirstProblems,
    open_workspace,
    print_result,
    say,
    say_first,
)
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.catalog.annotations import BoxSource

annotate = typer.Typer(no_args_is_help=True, help="Boxes on photos, from and to annotation tools.")

annotate.command()(suggest)
annotate.command()(push)
annotate.command()(pull)

FORMAT_NAMES = "coco, yolo, voc, cvat, label-studio"


@annotate.command("import")
def import_(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File, folder or zip with annotations.")],
    format_name: Annotated[
        str | None, typer.Option("--format", help=f"{FORMAT_NAMES}; default: recognised.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Folder of the annotated photos; default: next to them.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="CLASS=NAME", help="Keep a class under a name; repeat."),
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="TOML file with such a map.")] = None,
    checked: Annotated[
        bool,
        typer.Option(
            "--checked",
            help="A person checked every photo: drop scores; no box means no product.",
        ),
    ] = False,
    by: Annotated[str | None, typer.Option(help="Who drew the boxes, kept with them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take boxes from an annotation file; their photos are in the catalogue."""
    from satchel.annotate.class_map import ClassMap
    from satchel.annotate.sources import open_annotations
    from satchel.workflows.annotate import import_annotations

    workspace = open_workspace(context)
    class_map = ClassMap.read(classes, pairs or ())
    if photos is not None and not photos.is_dir():
        raise UsageError(f"expected a folder of photos at {photos}; check --photos")
    with open_annotations(path, format_name) as source, Bars() as bars:
        done = import_annotations(
            workspace,
            source.read(),
            origin=path.resolve().name,
            photos=photos or source.folder,
            classes=class_map,
            checked=checked,
            by=by,
            on_problem=FirstProblems("… and more, in the report"),
            progress=bars,
        )
    if as_json:
        print_result(import_report(done))
    say(
        f"{done.boxes:,} boxes on {done.photos:,} photos stored; {done.unchanged:,} photos had "
        f"theirs already; {done.problems:,} boxes or photos refused"
    )
    if done.unlabelled:
        say(
            f"{done.unlabelled:,} photos without boxes passed over; if a person checked them and "
            "they show no product, import with --checked"
        )
    if done.left_out:
        say(f"{done.left_out:,} boxes left out by the class map")
    if done.problems:
        say(f"what was refused, with reasons: {done.report}")
        raise typer.Exit(SOME_FAILED)


@annotate.command()
def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File, or folder for yolo and voc, or .zip.")],
    format_name: Annotated[
        str | None, typer.Option("--format", help=f"{FORMAT_NAMES}; default: by PATH's suffix.")
    ] = None,
    photos: Annotated[Path | None, typer.Option(help="Folder to copy the photos to.")] = None,
    only: Annotated[str | None, typer.Option(help="person or pre_label; default: both.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the boxes of the catalogue to a file that annotation tools and trainers read."""
    from satchel.workflows.annotate import export_annotations

    workspace = open_workspace(context)
    name, source = _format(path, format_name), _source(only)
    with Bars(resumes=False) as bars:
        done = export_annotations(
            workspace, path, name, photos=photos, source=source, progress=bars
        )
    if as_json:
        print_result(
            {"path": path, "photos": done.photos, "boxes": done.categories}
            | {"problems": done.problems}
        )
    boxes = ", ".join(f"{category} {count:,}" for category, count in done.categories.items())
    say(f"{done.photos:,} photos written to {path}; boxes: {boxes or 'none'}")
    say_first(done.problems)
    if done.problems:
        raise typer.Exit(SOME_FAILED)


def _format(path: Path, name: str | None) -> str:
    from satchel.annotate.formats import FORMATS

    chosen = name or {".json": "coco", ".xml": "cvat"}.get(path.suffix.lower())
    if chosen not in FORMATS:
        raise UsageError(f"expected --format, one of {FORMAT_NAMES}, got {name or 'none'}")
    suffix = path.suffix.lower()
    if FORMATS[chosen].suffix not in ("", suffix) and suffix != ".zip":
        raise UsageError(
            f"expected a {FORMATS[chosen].suffix} or .zip file for {FORMATS[chosen].title}, got "
            f"{path.name}"
        )
    return chosen


def _source(only: str | None) -> BoxSource | None:
    from satchel.catalog.annotations import BoxSource

    if only is None:
        return None
    try:
        return BoxSource(only)
    except ValueError:
        raise UsageError(f"expected person or pre_label after --only, got {only!r}") from None
