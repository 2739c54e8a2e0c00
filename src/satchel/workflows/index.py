"""`satchel index`: embed the photos that are new, and write the index."""

from __future__ import annotations

from dataclasses import dataclass

from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.search.indexing import build_index
from satchel.served import load_embedder
from satchel.workflows.embedding import embed_missing
from satchel.workflows.fit import fit_space
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
        fit_space(workspace, embedder.space, progress=progress),
        workspace.index_path,
        workspace.settings.search,
        progress=progress,
    )
    return IndexResult(missing - len(problems), len(index), problems)
