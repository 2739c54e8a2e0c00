"""`satchel index`: embed the new photos and write the index."""

from __future__ import annotations

import typer

from satchel.cli.shared import SOME_FAILED, embed, open_workspace, say


def index(context: typer.Context) -> None:
    """Embed the photos that are new and write the index."""
    from satchel.encode.encoder import Encoder
    from satchel.encode.registry import serving_card
    from satchel.search.indexing import build_index

    workspace = open_workspace(context)
    encoder = Encoder.load(serving_card(workspace.models), threads=1)
    waiting = workspace.catalogue.vectors.count_missing(encoder.id)
    problems = embed(workspace, encoder)
    built = build_index(
        workspace.catalogue, encoder.card, workspace.index_path, workspace.settings.search
    )
    say(f"{waiting - len(problems):,} photos embedded; the index holds {len(built):,}")
    if problems:
        raise typer.Exit(SOME_FAILED)
