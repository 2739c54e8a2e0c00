"""`satchel init`: make a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from satchel.cli.shared import AsJson, print_result, say


def init(
    folder: Annotated[Path, typer.Argument(help="Where to make the workspace.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a workspace: settings, database, photo store."""
    from satchel.workspace import Workspace

    workspace = Workspace.create(folder)
    size = workspace.catalogue.size()
    if as_json:
        print_result({"folder": workspace.folder, "products": size.products, "photos": size.photos})
    say(
        f"workspace ready in {workspace.folder}; its catalogue has {size.products:,} products and "
        f"{size.photos:,} photos; "
        "next: satchel import catalogue.csv, or a folder with a folder for each code"
    )
