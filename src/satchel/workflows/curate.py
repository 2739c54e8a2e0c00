"""`satchel curate`: embed and measure new photos, compare possible copies, decide on all photos.

Embeddings, measurements and comparisons are stored as they come: an interrupted run resumes, and a
later run works on new photos alone. Deciding takes all photos and no pixels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from satchel.catalog.curation import CurationStore, GalleryPhotos
from satchel.curate.copies import (
    compare_pairs,
    compared_pairs,
    confirmed_copies,
    pairs_to_compare,
)
from satchel.curate.decide import decide
from satchel.curate.figures import measure_photos
from satchel.curate.fineness import measure_fineness, unmeasured
from satchel.curate.marks import measure_marks, shops_to_search
from satchel.curate.report import render_report
from satchel.curate.rules import CurationRules
from satchel.curate.summary import CurationSummary, summarise
from satchel.decoding.pool import DecoderPool
from satchel.encode.embedder import Embedder
from satchel.errors import CatalogueError
from satchel.files import timestamp, write_atomically
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.search.indexing import build_index
from satchel.served import load_embedder
from satchel.workflows.embedding import embed_missing
from satchel.workflows.fit import fit_space
from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CurationResult:
    """Result of a curation run.

    Attributes:
        problems: photos that could not be read; nothing was decided on them.
        page: the report as HTML.
        figures: the report as JSON.
    """

    summary: CurationSummary
    problems: tuple[Problem, ...]
    page: Path
    figures: Path


def curate_catalogue(
    workspace: Workspace,
    rules: CurationRules,
    *,
    embedder: Embedder | None = None,
    progress: Progress = SILENT,
) -> CurationResult:
    """Curate all photos of a workspace, rebuild the index, and write a report.

    Args:
        embedder: default, the served one.

    Raises:
        CatalogueError: there are no photos.
    """
    embedder = embedder or load_embedder(workspace, threads=1)
    catalogue, store = workspace.catalogue, workspace.photos
    problems = list(embed_missing(workspace, embedder, progress=progress))
    space = fit_space(workspace, embedder.space, progress=progress)
    scale = space.fit.distance
    if catalogue.curation.count_unmeasured():
        limits = workspace.settings.photos.limits()
        with DecoderPool(memory_bytes=limits.max_decode_bytes) as decoder:
            measure_photos(
                catalogue, store, decoder=decoder, progress=progress, on_problem=problems.append
            )
    photos = catalogue.curation.gallery_photos(space.id, space.card.dimension)
    if not len(photos):
        raise CatalogueError(
            "there are no photos to curate: import some with `satchel import`, or collect some of "
            "your products with `satchel collect --source NAME`"
        )
    if shops := shops_to_search(photos):
        measure_marks(catalogue.curation, store, photos, shops, progress=progress)
    compared = compared_pairs(catalogue.curation)
    if pairs := pairs_to_compare(photos, rules.duplicates, compared, scale=scale):
        compare_pairs(catalogue.curation, store, pairs, rules.duplicates, progress=progress)
    copies = confirmed_copies(photos, compared_pairs(catalogue.curation), rules.duplicates)
    if rows := unmeasured(photos, copies):
        measure_fineness(catalogue.curation, store, photos, rows, progress=progress)
    summary = decide_all(catalogue.curation, photos, rules, scale=scale)
    build_index(
        catalogue, space, workspace.index_path, workspace.settings.search, progress=progress
    )
    page, figures = _write_report(workspace, summary)
    return CurationResult(summary, tuple(dict.fromkeys(problems)), page, figures)


def decide_all(
    curation: CurationStore,
    photos: GalleryPhotos,
    rules: CurationRules,
    *,
    scale: float = 1.0,
) -> CurationSummary:
    """Decide on every photo and write all states and reasons in one transaction.

    Args:
        scale: how many times the built-in encoder's distances those of the vectors are.
    """
    copies = confirmed_copies(photos, compared_pairs(curation), rules.duplicates)
    states = decide(photos, copies, rules, scale=scale)
    changed = curation.set_states(
        (link, state.state.value, state.reasons)
        for link, state in zip(photos.link_ids, states, strict=True)
    )
    return summarise(photos, states, rules, changed, curation.photo_counts())


def _write_report(workspace: Workspace, summary: CurationSummary) -> tuple[Path, Path]:
    """Write the report as HTML and as JSON; return both paths."""
    figures = workspace.reports / f"curate-{timestamp()}.json"
    text = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
    write_atomically(figures, text.encode())
    page = figures.with_suffix(".html")
    write_atomically(page, render_report(summary, workspace.photos).encode())
    return page, figures
