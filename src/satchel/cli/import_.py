"""`satchel import`: put products and their photos into the catalogue."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    Encoding,
    complain,
    open_workspace,
    print_result,
    problems_shown,
    say,
)
from satchel.cli.stdin import catalogue_file

if TYPE_CHECKING:
    from satchel.workflows.import_ import ImportResult


def import_(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="CSV, XLSX or JSONL file, a folder per code, or -, stdin.")
    ],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder that photo paths are relative to; default the file's own."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=HEADER",
            help="Read this column as that field, such as code=품번; the usual headers are known, "
            "in English and Korean.",
        ),
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(help="Of a workbook; default the first with code and photo.")
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Let the file's values, and its empty cells, replace known."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would happen; write nothing.")
    ] = False,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Put products and their photos into the catalogue."""
    from satchel.catalog.importers import open_rows, parse_columns
    from satchel.workflows.import_ import import_catalogue

    workspace = open_workspace(context)
    with catalogue_file(path, photos) as (file, folder):
        source = open_rows(file, folder, encoding, parse_columns(column or ()), sheet)
        for note in source.notes:
            say(note)
        with Bars(resumes=not dry_run) as bars:
            done = import_catalogue(
                workspace,
                source,
                file.resolve().stem,
                update=update,
                dry_run=dry_run,
                progress=bars,
            )
    if as_json:
        print_result(_result(done, dry_run=dry_run))
    _say_counts(done, update=update, dry_run=dry_run)
    if not done.count.rows:
        say(
            f"nothing to import in {path}: expected rows in a file, or photos in folders named by "
            "code"
        )
        raise typer.Exit(SOME_FAILED)
    _say_refusals(done, dry_run=dry_run)
    if dry_run:
        say("nothing was written; import without --dry-run to do it")
    elif done.count.added + done.count.unchanged:
        say("next: satchel index; or satchel curate, which also sorts out copies and wrong photos")
    if done.count.problems:
        raise typer.Exit(SOME_FAILED)


def _result(done: ImportResult, *, dry_run: bool) -> dict[str, object]:
    """What an import reports as JSON."""
    return {
        "dry_run": dry_run,
        "rows": {"read": done.count.rows, "refused": done.count.problems, **asdict(done.count)},
        "catalogue": done.size,
        "refusals": [
            {"rows": rows, "example": str(example)} for rows, example in done.refusals.by_count()
        ],
        "report": done.report if done.count.problems and not dry_run else None,
        "addresses": done.addresses if done.count.addresses and not dry_run else None,
    }


def _say_counts(done: ImportResult, *, update: bool, dry_run: bool) -> None:
    count, size = done.count, done.size
    added = "added or changed" if update else "added"
    would = "would be " if dry_run else ""
    say(
        f"{count.rows:,} rows: {count.added:,} {would}{added}, {count.unchanged:,} already there, "
        f"{count.problems:,} refused; the catalogue {'would have' if dry_run else 'has'} "
        f"{size.products:,} products and {size.photos:,} photos"
    )
    if count.differing:
        say(
            f"{count.differing:,} of the rows already there have other values now, which were "
            "ignored: import with --update to apply them"
        )
    if count.redirected:
        say(
            f"{count.redirected:,} rows of codes that were renamed or merged "
            f"{'would go' if dry_run else 'went'} to the code of today"
        )
    if count.moved:
        say(f"{count.moved:,} photos {would or 'were '}taken from codes they no longer have")
    if count.emptied:
        say(f"{count.emptied:,} products {would or 'were '}emptied of values the file leaves empty")
    if count.uncertain:
        say(
            f"{count.uncertain:,} refused rows have no code that can be read: so no photo left a "
            "code, and no value of a product was emptied"
        )
    if count.addresses:
        where = "" if dry_run else f" in {done.addresses}"
        say(
            f"{count.addresses:,} photos are addresses: {would or 'they are '}kept aside{where}; "
            "nothing is fetched; satchel collect fetches them, as their sites permit"
        )


def _say_refusals(done: ImportResult, *, dry_run: bool) -> None:
    reasons = done.refusals.by_count()
    if not reasons:
        return
    complain("refused, by reason, with an example of each:")
    for count, example in reasons[: problems_shown()]:
        complain(f"  {count:,} × {example}")
    if len(reasons) > problems_shown():
        complain(f"  … and {len(reasons) - problems_shown():,} more reasons")
    if not dry_run:
        complain(f"all refused rows, with reasons: {done.report}")
