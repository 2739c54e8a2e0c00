"""`satchel index`: embed the photos that are new, and write the index."""

from __future__ import annotations

from dataclasses import dataclass

from satchel.decoding.pool import DecoderPool
from satchel.encode.embedder import Embedder
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.search.indexing import build_index, embed_gallery
from satchel.served import load_embedder
from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class IndexResult:
    """Result of indexing.

    Attributes:
        embedded: photos embedded now.
        indexed: photos that the index holds.
        problems: photos that could not be embedded.
    """

    embedded: int
    indexed: int
    problems: tuple[Problem, ...]


def index_catalogue(workspace: Workspace, *, progress: Progress = SILENT) -> IndexResult:
    """Embed the photos that are new with the served encoder and locator, and write the index.

    Raises:
        IndexMissing: no photo is embedded, so there is nothing to search.
    """
    embedder = load_embedder(workspace, threads=1)
    missing = workspace.catalogue.vectors.count_missing(embedder.space.id)
    problems = embed_missing(workspace, embedder, progress=progress)
    index = build_index(
        workspace.catalogue,
        embedder.space,
        workspace.index_path,
        workspace.settings.search,
        progress=progress,
    )
    return IndexResult(missing - len(problems), len(index), problems)


def embed_missing(
    workspace: Workspace, embedder: Embedder, *, progress: Progress = SILENT
) -> tuple[Problem, ...]:
    """Embed the photos that are new; return those that could not be.

    Args:
        embedder: with one thread, since several photos are under way at once.
    """
    missing = workspace.catalogue.vectors.count_missing(embedder.space.id)
    if not missing:
        return ()
    problems: list[Problem] = []
    limits = workspace.settings.photos.limits()
    progress.begin("embed", missing)
    with DecoderPool(memory_bytes=limits.max_decode_bytes) as decoder:
        embed_gallery(
            workspace.catalogue,
            workspace.photos,
            embedder,
            limits=limits,
            decoder=decoder,
            on_problem=problems.append,
            progress=progress,
        )
    return tuple(problems)
