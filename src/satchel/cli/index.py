"""`satchel index`: embed the new photos and write the index."""

from __future__ import annotations

import typer

from satchel.cli.shared import (
    SOME_FAILED,
    AsJson,
    Bars,
    open_workspace,
    print_result,
    say,
    say_first,
)


def index(context: typer.Context, as_json: AsJson = False) -> None:
    """Embed new photos and write the index."""
    from satchel.workflows.index import index_catalogue

    workspace = open_workspace(context)
    with Bars() as bars:
        done = index_catalogue(workspace, progress=bars)
    if as_json:
        print_result(done)
    say_first(done.problems)
    say(f"{done.embedded:,} photos embedded; the index holds {done.indexed:,}")
    if done.problems:
        raise typer.Exit(SOME_FAILED)
