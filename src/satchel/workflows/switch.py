"""Another encoder begins to answer: the gallery is embedded with it first, then it is served.

Vectors of the encoder before stay where they are: going back costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from satchel.encode.encoder import Encoder
from satchel.encode.registry import serve_model
from satchel.errors import EncoderError, IndexMissing
from satchel.search.indexing import build_index, embed_gallery
from satchel.workspace import Workspace


def embed_beside(
    workspace: Workspace, encoder: Encoder, on_total: Callable[[int], Callable[[int], None]]
) -> None:
    """Embed the gallery beside the vectors that are searched now.

    Args:
        on_total: called with the number of photos to embed; gives what is told of each.

    Raises:
        EncoderError: a photo could not be embedded.
    """
    problems: list[object] = []
    embed_gallery(
        workspace.catalogue,
        workspace.photos,
        encoder,
        on_progress=on_total(workspace.catalogue.vectors.count_missing(encoder.id)),
        on_problem=problems.append,
    )
    if problems:
        raise EncoderError(
            f"{len(problems)} photos could not be embedded, the first: {problems[0]}"
        )


def switch(workspace: Workspace, name: str, encoder: Encoder) -> None:
    """Serve with an encoder that the gallery is embedded with.

    Args:
        name: of a promoted model's folder, or of a built-in encoder.
    """
    serve_model(workspace.models, name)
    try:
        build_index(
            workspace.catalogue, encoder.card, workspace.index_path, workspace.settings.search
        )
    except IndexMissing:  # an empty catalogue: there is nothing to search yet
        return
