"""`satchel read`: read codes on tags, boxes, receipts and date stamps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.photo_paths import decoder_for, photo_paths
from satchel.cli.shared import (
    SOME_FAILED,
    AsJsonLines,
    complain,
    open_workspace,
    print_json,
    print_table,
    say,
)
from satchel.cli.stage_display import show_answers
from satchel.cli.stdin import read_photo_or_stdin
from satchel.extras import need_extra
from satchel.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from satchel.reading.records import Reading
    from satchel.records import Problem

MATCHES = {
    "exact": "the same",
    "similar": "similar characters",
    "one_letter": "one character differs",
}


def read(
    context: typer.Context,
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders of photos, patterns, or -, stdin.")
    ],
    as_json: AsJsonLines = False,
) -> None:
    """Read codes on photographed tags, boxes, receipts, date stamps and barcodes.

    What comes out is read, not seen: it says what a tag says, not what the item is.
    """
    need_extra("ocr")
    from satchel.errors import PhotoError, ReadingError
    from satchel.workflows.read import CodeReader

    failed = False

    def fail(what: str, reason: str) -> None:
        nonlocal failed
        complain(f"{printable(what)}: {reason}")
        failed = True

    def fail_of(problem: Problem) -> None:
        fail(problem.what, problem.reason)

    workspace = open_workspace(context)
    limits = workspace.settings.photos.limits()
    paths = list(photo_paths(photos, fail_of))
    show = _print_json if as_json else _print
    with (
        CodeReader(workspace, decoder_for(len(paths), limits)) as reader,
        show_answers("read", len(paths)) as advance,
    ):
        for path in paths:
            try:
                show(path, reader.read(read_photo_or_stdin(path, limits), limits))
            except (PhotoError, ReadingError) as error:
                fail(str(path), str(error))
            advance(1)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _print_json(path: Path, found: Reading) -> None:
    from satchel.reading_schemas import Reading as Record

    print_json({"photo": str(path), **Record.of(found).model_dump(mode="json")})


def _print(path: Path, found: Reading) -> None:
    from rich.table import Table

    name = printable(str(path))
    if not found.codes:
        said = " · ".join(printable(text.text) for text in found.texts[:8])
        say(f"{name}: no code of the catalogue" + (f"; read: {said}" if said else ", and no text"))
        return
    table = Table("code", "read, not seen", "match", "in", title=name, title_justify="left")
    for one in found.codes:
        where = one.source.barcode or f"text, {one.source.score:.0%} sure"
        table.add_row(one.code, printable(one.read), MATCHES[one.match], where)
    print_table(table)
