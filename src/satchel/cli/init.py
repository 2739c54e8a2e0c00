"""`satchel init`: make a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from satchel.cli.shared import say


def init(
    folder: Annotated[Path, typer.Argument(help="Where to make the workspace.")] = Path(),
) -> None:
    """Make a workspace: settings, database, photo store."""
    from satchel.workspace import Workspace

    workspace = Workspace.create(folder)
    size = workspace.catalogue.size()
    say(
        f"workspace ready in {workspace.folder}; its catalogue has {size.products:,} products and "
        f"{size.photos:,} photos; "
        "next: satchel import catalogue.csv, or a folder with a folder for each code"
    )
