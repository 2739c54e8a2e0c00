"""`satchel index`: embed the photos that are new, and write the index."""

from __future__ import annotations

from dataclasses import dataclass

from satchel.encode.encoder import Encoder
from satchel.encode.registry import serving_card
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.search.indexing import build_index, embed_gallery
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
    """Embed the photos that are new with the served encoder, and write the index.

    Raises:
        IndexMissing: no photo is embedded, so there is nothing to search.
    """
    encoder = Encoder.load(serving_card(workspace.models), threads=1)
    missing = workspace.catalogue.vectors.count_missing(encoder.id)
    problems = embed_missing(workspace, encoder, progress=progress)
    index = build_index(
        workspace.catalogue, encoder.card, workspace.index_path, workspace.settings.search
    )
    return IndexResult(missing - len(problems), len(index), problems)


def embed_missing(
    workspace: Workspace, encoder: Encoder, *, progress: Progress = SILENT
) -> tuple[Problem, ...]:
    """Embed the photos that are new; return those that could not be.

    Args:
        encoder: with one thread, since several photos are under way at once.
    """
    missing = workspace.catalogue.vectors.count_missing(encoder.id)
    if not missing:
        return ()
    problems: list[Problem] = []
    progress.begin("embed", missing)
    embed_gallery(
        workspace.catalogue,
        workspace.photos,
        encoder,
        limits=workspace.settings.photos.limits(),
        on_problem=problems.append,
        progress=progress,
    )
    return tuple(problems)
