"""`satchel promote` of a detector: it becomes the locator, unless identification gets worse.

The check: every kept photo of a product that has another one is identified among all other photos,
with the locator of today and with the new one.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from satchel.arrays import Bools, Ints
from satchel.catalog.training import KeptPhoto
from satchel.config import FILE_NAME, with_setting
from satchel.encode.card import read_card
from satchel.encode.embed import as_query
from satchel.encode.registry import (
    CARD,
    LocatorSwitch,
    read_serving,
    serving_card,
    write_serving,
)
from satchel.errors import IndexMissing, LocatorError, UsageError
from satchel.evaluate.offline import Query, rank_queries, stored_photos
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.files import write_atomically
from satchel.progress import SILENT, Progress
from satchel.search.indexing import build_index
from satchel.served import load_embedder, served_space
from satchel.train.runs import Run
from satchel.workflows.embedding import embed_missing
from satchel.workflows.fit import fit_space
from satchel.workspace import Workspace

MOST_QUERIES: Final = 1000


@dataclass(frozen=True, slots=True)
class LocatorCheck:
    """Identification of the catalogue's own photos, before and after.

    Attributes:
        queries: photos that were identified.
        before, after: share of them whose product ranked first.
        gained, lost: photos that only the new, or only the old locator gets right.
    """

    queries: int
    before: float
    after: float
    gained: int
    lost: int

    @property
    def worse(self) -> bool:
        """Whether more photos are lost than gained, by more than chance: one standard error."""
        return self.lost - self.gained > math.sqrt(self.lost + self.gained)

    def __str__(self) -> str:
        if not self.queries:
            return "not checked: no product has a second photo"
        return (
            f"first candidate right for {self.before:.1%} of {self.queries:,} photos before, "
            f"{self.after:.1%} after ({self.gained:,} gained, {self.lost:,} lost)"
        )


def with_locator(workspace: Workspace, model: str) -> Workspace:
    """The workspace as it would be with this `model` under [locate]; nothing is written."""
    rules = workspace.settings.locate.model_copy(
        update={"model": model, "names": "", "classes": {}, "score": 0.0}
    )
    settings = workspace.settings.model_copy(update={"locate": rules})
    return replace(workspace, settings=settings)


def promote_locator(
    workspace: Workspace, run: Run, *, anyway: bool = False, progress: Progress = SILENT
) -> LocatorCheck:
    """Make a run's exported detector the workspace's locator.

    The gallery is embedded with it first; the embeddings of before stay, for a rollback.

    Args:
        anyway: also if identification gets worse.

    Raises:
        UsageError: identification gets worse, or the settings cannot be changed.
        LocatorError: a photo could not be embedded. Nothing was switched in either case.
    """
    path = workspace.models / run.name / CARD
    if not path.exists():
        from satchel.workflows.locator import export_locator  # noqa: PLC0415 - the rest needs no torch

        export_locator(workspace, run, progress=progress)
    model = path.relative_to(workspace.folder).as_posix()
    candidate = with_locator(workspace, model)
    settings = changed_settings(candidate)
    for one in (workspace, candidate):
        problems = embed_missing(one, load_embedder(one, threads=1), progress=progress)
        if problems:
            raise LocatorError(
                f"{len(problems)} photos could not be embedded, the first: {problems[0]}"
            )
    check = check_locators(workspace, candidate, progress=progress)
    if check.worse and not anyway:
        raise UsageError(
            f"not promoted, identification gets worse: {check}; --anyway promotes all the same"
        )
    # The history first: after a kill in between, it has a switch that is not in use, which no
    # rollback takes for one.
    before = workspace.settings.locate.model
    if model != before:
        switch = LocatorSwitch(locator=model, before=before)
        write_serving(workspace.models, read_serving(workspace.models).with_change(switch))
    write_atomically(workspace.folder / FILE_NAME, settings.encode())
    with contextlib.suppress(IndexMissing):  # an empty catalogue: there is nothing to search yet
        build_index(
            workspace.catalogue,
            fit_space(candidate, served_space(candidate), progress=progress),
            workspace.index_path,
            workspace.settings.search,
        )
    return check


def check_locators(
    workspace: Workspace, candidate: Workspace, *, progress: Progress = SILENT
) -> LocatorCheck:
    """Identify the catalogue's photos among all others, with either workspace's locator.

    All photos are embedded with both.
    """
    photos = workspace.catalogue.kept_photos(served_space(workspace).id)
    codes = sorted({photo.code for photo in photos})
    place = {code: at for at, code in enumerate(codes)}
    products = np.array([place[photo.code] for photo in photos], np.int64)
    counts = np.bincount(products, minlength=len(codes))
    rows = np.flatnonzero(counts[products] > 1)
    if not len(rows):
        return LocatorCheck(0, 0.0, 0.0, 0, 0)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_QUERIES).astype(np.int64))]
    progress.begin("check", 2 * len(rows))
    old, new = (_right(one, photos, products, rows, progress) for one in (workspace, candidate))
    gained, lost = int((new & ~old).sum()), int((old & ~new).sum())
    return LocatorCheck(len(rows), float(old.mean()), float(new.mean()), gained, lost)


def _right(
    workspace: Workspace,
    photos: list[KeptPhoto],
    products: Ints,
    rows: Ints,
    progress: Progress,
) -> Bools:
    """Whether the product of each photo in `rows` ranks first, itself left out; shape (q,)."""
    space = served_space(workspace)
    stored = stored_photos(workspace.catalogue, space, [photo.sha256 for photo in photos])
    gallery = OfflineGallery(stored, products, encoder=space.id)
    passes = read_card(serving_card(workspace.models)).n_passes
    queries = (
        Query(as_query(gallery.photo(row), passes), [int(gallery.rows[row])])
        for row in rows.tolist()
    )
    searcher = gallery.searcher(workspace.settings.search, space.fit)
    ranked = rank_queries(searcher, queries, progress=progress)
    right: Bools = ranked.ranks(products[rows]) == 1
    return right


def changed_settings(candidate: Workspace) -> str:
    """The settings file of the candidate: the workspace's, one line changed.

    Raises:
        UsageError: the file sets more of the locator, or is laid out so that it cannot be changed.
    """
    path, model = candidate.folder / FILE_NAME, candidate.settings.locate.model
    return with_setting(path, "locate", "model", model, expected=candidate.settings)
