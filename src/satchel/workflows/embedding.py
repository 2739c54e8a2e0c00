"""Embed photos of a workspace that an encoder has not embedded yet."""

from __future__ import annotations

from collections.abc import Set

from satchel.decoding.pool import DecoderPool
from satchel.encode.embedder import Embedder
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.search.indexing import embed_gallery
from satchel.workspace import Workspace


def embed_missing(
    workspace: Workspace,
    embedder: Embedder,
    *,
    only: Set[str] | None = None,
    progress: Progress = SILENT,
) -> tuple[Problem, ...]:
    """Embed the photos that are new; return those that could not be.

    Args:
        embedder: with one thread, since several photos are under way at once.
        only: SHA-256 of the photos in question, if not all of them are.
    """
    missing = workspace.catalogue.vectors.count_missing(embedder.space.id)
    if not missing:
        return ()
    problems: list[Problem] = []
    limits = workspace.settings.photos.limits()
    progress.begin("embed", missing if only is None else min(missing, len(only)))
    with DecoderPool(memory_bytes=limits.max_decode_bytes) as decoder:
        embed_gallery(
            workspace.catalogue,
            workspace.photos,
            embedder,
            limits=limits,
            only=only,
            decoder=decoder,
            on_problem=problems.append,
            progress=progress,
        )
    return tuple(problems)
