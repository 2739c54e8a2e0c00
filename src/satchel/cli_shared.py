"""What all commands share: opening the workspace, speaking, showing progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from satchel.workspace import Workspace

STOPPED = 130


def open_workspace(context: typer.Context) -> Workspace:
    """Open the workspace that the command line names."""
    from satchel.workspace import Workspace

    return Workspace.open(context.obj)


def say(message: str) -> None:
    """Tell the person, on stderr: stdout is for answers."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr; give a function that moves it on by so many."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    try:
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.advance(task, count)
    except KeyboardInterrupt:
        say("stopped; what was done is kept, run the same command again to go on")
        raise typer.Exit(STOPPED) from None
