"""`satchel annotate suggest`, `push` and `pull`: what to label next, in annotation tools."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    AsJsonLines,
    Bars,
    FirstProblems,
    open_workspace,
    print_json,
    print_result,
    print_table,
    say,
    say_first,
)
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.annotate.suggest import UnlabelledPhoto
    from satchel.annotate.tools.tool import AnnotationTool
    from satchel.locate.locator import Locator
    from satchel.workflows.annotate import AnnotationImport
    from satchel.workspace import Workspace

MOST_SHOWN = 40
"""Photos in a table; --json gives all."""

Count = Annotated[int, typer.Argument(min=1, max=100_000, help="How many photos.")]
Url = Annotated[
    str | None, typer.Option(help="Of the server; default $CVAT_URL, $LABEL_STUDIO_URL.")
]
Token = Annotated[
    str | None,
    typer.Option(help="For the server; default $CVAT_ACCESS_TOKEN, $LABEL_STUDIO_API_KEY."),
]


def suggest(
    context: typer.Context,
    count: Count,
    photos: Annotated[Path | None, typer.Option(help="Folder to copy the photos to.")] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Choose the photos whose boxes would teach a locator most, spread over the catalogue."""
    from satchel.workflows.annotate import copy_photos

    workspace = open_workspace(context)
    chosen, failed, _ = _suggested(workspace, count)
    if photos is not None:
        problems = copy_photos(workspace, [one.photo for one in chosen], photos)
        say_first(problems)
        failed += len(problems)
        say(f"the photos are in {photos}; label them there, then: satchel annotate import")
    _show(chosen, as_json)
    if failed:
        raise typer.Exit(SOME_FAILED)


def push(
    context: typer.Context,
    count: Count,
    to: Annotated[str, typer.Option(help="cvat or label-studio.")],
    url: Url = None,
    token: Token = None,
    title: Annotated[str, typer.Option(help="Name of the task; default: with the time.")] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(help="Class to choose from; repeat. Default: Satchel's categories."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a task of suggested photos in an annotation tool, with boxes that the locator finds."""
    from satchel.annotate.tools.tool import check_tool

    check_tool(to)
    from satchel.workflows.annotate_tools import clear_unfinished, push_photos, pushing

    workspace = open_workspace(context)
    with pushing(workspace), _connected(to, url, token) as tool:
        for note in clear_unfinished(workspace, tool):
            say(note)
        chosen, failed, locator = _suggested(workspace, count)
        with Bars(resumes=False) as bars:
            done = push_photos(
                workspace,
                tool,
                chosen,
                locator_id=locator.id if locator else "",
                title=title,
                labels=label or (),
                progress=bars,
            )
    if as_json:
        print_result(done)
    say(
        f"{done.photos:,} photos with {done.boxes:,} pre-labels are in {tool.title}: {done.address}"
    )
    say(f"when people have drawn boxes: satchel annotate pull --from {to}")
    if failed:
        raise typer.Exit(SOME_FAILED)


def pull(
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", help="cvat or label-studio.")],
    url: Url = None,
    token: Token = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="CLASS=NAME", help="Keep a class under a name; repeat."),
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="TOML file with such a map.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take the boxes that people drew in an annotation tool since the last pull."""
    from satchel.annotate.tools.tool import check_tool

    check_tool(source)
    from satchel.annotate.class_map import ClassMap
    from satchel.workflows.annotate_tools import pull_boxes

    workspace = open_workspace(context)
    class_map = ClassMap.read(classes, pairs or ())
    refused = FirstProblems("… and more, in the report")
    with _connected(source, url, token) as tool, Bars() as bars:
        done = pull_boxes(workspace, tool, classes=class_map, on_problem=refused, progress=bars)
    if as_json:
        imports = [import_report(one) for one in done.imports]
        print_result(asdict(done) | {"imports": imports})
    for note in done.notes:
        say(note)
    photos, boxes = sum(i.photos for i in done.imports), sum(i.boxes for i in done.imports)
    say(
        f"{boxes:,} boxes on {photos:,} photos pulled from {done.tasks:,} tasks; "
        f"{refused.count:,} boxes or photos refused"
    )
    for one in done.imports:
        if one.problems:
            say(f"what was refused, with reasons: {one.report}")
    if refused.count or done.failed:
        raise typer.Exit(SOME_FAILED)


def import_report(done: AnnotationImport) -> dict[str, object]:
    """What an import of boxes reports as JSON."""
    return asdict(done) | {"report": done.report if done.problems else None}


def _connected(
    tool: str, url: str | None, token: str | None
) -> AbstractContextManager[AnnotationTool]:
    from satchel.annotate.tools.tool import TOKENS, URLS, connect

    address = url or os.environ.get(URLS[tool])
    secret = token or os.environ.get(TOKENS[tool])
    if not address:
        raise UsageError(f"expected the server's address: set ${URLS[tool]}, or say --url")
    if not secret:
        raise UsageError(f"expected the server's access token: set ${TOKENS[tool]}")
    return connect(tool, address, secret)


def _suggested(
    workspace: Workspace, count: int
) -> tuple[list[UnlabelledPhoto], int, Locator | None]:
    """Suggest photos; return them, how many could not be read, and the locator."""
    from satchel.served import load_locator
    from satchel.workflows.annotate_suggest import suggest_photos

    problems = FirstProblems("… and more")
    locator = load_locator(workspace)
    if locator is None:
        say(
            "no detector is configured ([locate] in satchel.toml), so photos are only spread over "
            "products and categories, without pre-labels"
        )
    with Bars() as bars:
        chosen = suggest_photos(workspace, count, locator, on_problem=problems, progress=bars)
    return chosen, problems.count, locator


def _show(chosen: list[UnlabelledPhoto], as_json: bool) -> None:
    if as_json:
        for one in chosen:
            print_json(_row(one))
        return
    from rich.table import Table

    table = Table("photo", "code", "category", "value", "found")
    for one in chosen[:MOST_SHOWN]:
        boxes = ", ".join(f"{d.category or '?'} {d.score:.2f}" for d in one.detections[:3])
        table.add_row(one.photo[:12], one.code, one.category or "", f"{one.value:.2f}", boxes)
    print_table(table)
    if len(chosen) > MOST_SHOWN:
        say(f"… and {len(chosen) - MOST_SHOWN:,} more photos: --json gives all")


def _row(one: UnlabelledPhoto) -> dict[str, Any]:
    return {
        "photo": one.photo,
        "code": one.code,
        "category": one.category,
        "value": round(one.value, 4),
        "detections": [
            {"box": list(d.box.xyxy), "category": d.category, "score": round(d.score, 4)}
            for d in one.detections
        ],
    }
