"""`satchel feedback`: what people said of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from satchel.cli.shared import open_workspace, say
from satchel.errors import UsageError

feedback = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What people said of answers on the page or over HTTP.",
)


@feedback.command()
def export(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="File to write; default, stdout.", dir_okay=False)
    ] = None,
) -> None:
    """Write all feedback as JSON Lines, with the embeddings that calibration needs, no photos."""
    from satchel.catalog.feedback_file import to_line
    from satchel.files import atomic_path

    store = open_workspace(context).catalogue.feedback
    if file is None:
        for one in store.all():
            print(to_line(one))
        return
    try:
        with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8") as out:
            out.writelines(to_line(one) + "\n" for one in store.all())
    except OSError as error:
        why = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot write {file}: {why}; name another file") from None
    say(f"{store.count():,} written to {file}; next: satchel calibrate --feedback")
