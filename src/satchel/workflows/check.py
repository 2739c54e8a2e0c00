"""`satchel check`: whether everything that a workspace needs is there and whole; repairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ConfigDict

from satchel.backup.objects import ObjectStore
from satchel.backup.workspace_files import DATABASE
from satchel.catalog.photos import sha256
from satchel.catalog.snapshot import (
    database_faults,
    rebuild_database_indexes,
    stored_photos,
)
from satchel.catalog.vectors import GalleryVectors
from satchel.confidence.stored import FOLDER as CALIBRATIONS
from satchel.confidence.stored import read_calibration
from satchel.encode.card import read_card
from satchel.encode.embedder import EmbeddingSpace
from satchel.encode.fit import FOLDER as FITS
from satchel.encode.fit import read_fit
from satchel.encode.registry import CARD, serving_card
from satchel.errors import CatalogueError, DamagedIndex, SatchelError
from satchel.locate.registry import configured_locator
from satchel.onnx_model import ModelCard, load_card, read_model
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.search.index import GalleryIndex
from satchel.search.indexing import build_index
from satchel.search.rules import SearchRules
from satchel.served import load_embedder, served_space
from satchel.workflows.embedding import embed_missing
from satchel.workspace import Workspace

BATCH: Final = 64
DAMAGED: Final = ".damaged"
"""Suffix of a damaged photo that was set aside: an import of the photo then stores it again."""


class Part(StrEnum):
    """What is checked, in this order."""

    DATABASE = "database"
    PHOTOS = "photos"
    MODELS = "models"
    EMBEDDINGS = "embeddings"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is missing or damaged.

    Attributes:
        name: of a file, photo or model.
    """

    part: Part
    name: str
    reason: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" + (" (repaired)" if self.repaired else "")


@dataclass(slots=True)
class CheckResult:
    """Result of a check.

    Attributes:
        checked: how many of each part.
    """

    checked: dict[Part, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def left(self) -> list[Fault]:
        """Faults that were not repaired."""
        return [fault for fault in self.faults if not fault.repaired]


def check_workspace(
    workspace: Workspace,
    *,
    repair: bool = False,
    backup: ObjectStore | None = None,
    progress: Progress = SILENT,
) -> CheckResult:
    """Check every part of a workspace; read only, unless `repair`.

    Args:
        repair: make again what can be made again: the database's indexes, embeddings, the index;
            and photos from a backup. A damaged photo that the backup lacks is set aside.
        backup: to take photos from.
    """
    checking = _Checking(workspace, repair, backup, progress)
    parts: Mapping[Part, Callable[[], Iterator[Fault]]] = {
        Part.DATABASE: checking.database,
        Part.PHOTOS: checking.photos,
        Part.MODELS: checking.models,
        Part.EMBEDDINGS: checking.embeddings,
        Part.INDEX: checking.index,
    }
    result = checking.result
    for part, faults in parts.items():
        result.checked[part] = 0
        try:
            result.faults += faults()
        except SatchelError as error:  # of one part: the others are checked all the same
            result.faults.append(Fault(part, part, str(error)))
    return result


class _Checking:
    def __init__(
        self, workspace: Workspace, repair: bool, backup: ObjectStore | None, progress: Progress
    ) -> None:
        self._workspace, self._repair, self._backup = workspace, repair, backup
        self._progress = progress
        self._path = workspace.folder / DATABASE
        self.result = CheckResult()

    def database(self) -> Iterator[Fault]:
        """Pages, the database's own indexes, and rows that name others."""
        self._progress.begin("database", 1)
        found = database_faults(self._path)
        self.result.checked[Part.DATABASE] = 1
        self._progress.advance()
        if not found:
            return
        left = set(found)
        if self._repair:
            rebuild_database_indexes(self._path)
            left = set(database_faults(self._path))
        hint = "restore the workspace from a backup with `satchel restore`"
        for fault in found:
            if fault in left:
                yield Fault(Part.DATABASE, DATABASE, f"{fault}; {hint}")
            else:
                yield Fault(Part.DATABASE, DATABASE, fault, repaired=True)

    def photos(self) -> Iterator[Fault]:
        """Every photo's file: there, and of the SHA-256 that names it."""
        photos = stored_photos(self._path)
        self._progress.begin("photos", len(photos))
        done = map_in_order(lambda photo: self._photo(photo[0]), photos, workers=cores())
        for some in batched(done, BATCH):
            yield from (fault for fault in some if fault is not None)
            self.result.checked[Part.PHOTOS] += len(some)
            self._progress.advance(len(some))

    def _photo(self, name: str) -> Fault | None:
        store = self._workspace.photos
        reason = "its file is gone from the photo store"
        if store.path(name).exists():
            try:
                if sha256(store.read(name)) == name:
                    return None
                reason = "its file is damaged"
            except CatalogueError as error:
                reason = str(error)
        fault = Fault(Part.PHOTOS, self._workspace.catalogue.describe_photo(name), reason)
        return self._repaired_photo(name, fault) if self._repair else fault

    def _repaired_photo(self, name: str, fault: Fault) -> Fault:
        path = self._workspace.photos.path(name)
        if path.exists():  # an import takes a photo whose file exists for stored
            path.rename(path.with_suffix(DAMAGED))
        if self._backup is not None and self._backup.fault(name) is None:
            self._workspace.photos.put(self._backup.path(name).read_bytes())
            return replace(fault, repaired=True)
        hint = "import the photo again, or repair with --backup DIR"
        return replace(fault, reason=f"{fault.reason}; {hint}")

    def models(self) -> Iterator[Fault]:
        """The served encoder, the locator, promoted models, calibrations and fits."""
        models = self._workspace.models
        cards = {path.parent.name: path for path in sorted(models.glob(f"*/{CARD}"))}
        checks: dict[str, Callable[[], object]] = {"served encoder": self._served}
        checks["locator"] = self._locator
        for name, path in cards.items():
            checks[f"models/{name}"] = partial(_model, path)
        for path in sorted((models / CALIBRATIONS).glob("*.json")):
            checks[f"calibration {path.stem[:12]}…"] = partial(read_calibration, models, path.stem)
        for path in sorted((models / FITS).glob("*.json")):
            checks[f"fit {path.stem[:12]}…"] = partial(read_fit, models, path.stem)
        self._progress.begin("models", len(checks))
        for name, check in checks.items():
            try:
                check()
            except (SatchelError, OSError) as error:
                yield Fault(Part.MODELS, name, str(error))
            self.result.checked[Part.MODELS] += 1
            self._progress.advance()

    def _served(self) -> None:
        card = serving_card(self._workspace.models)
        read_model(read_card(card), card.parent)

    def _locator(self) -> None:
        rules, folder = self._workspace.settings.locate, self._workspace.folder
        file = configured_locator(rules, folder)
        if file is not None:
            file.read()

    def embeddings(self) -> Iterator[Fault]:
        """An embedding of the served space for every photo that is kept or in doubt."""
        space = served_space(self._workspace)
        vectors = self._workspace.catalogue.vectors
        found = list(vectors.faults(space.id, space.card.dimension))
        self.result.checked[Part.EMBEDDINGS] = vectors.count(space.id)
        left = {photo_id for photo_id, _, _ in found}
        if found and self._repair:
            vectors.remove(space.id, sorted(left))
            embed_missing(self._workspace, load_embedder(self._workspace), progress=self._progress)
            left = {row[0] for row in vectors.faults(space.id, space.card.dimension)}
        for photo_id, name, reason in found:
            hint = "" if photo_id not in left else "; run `satchel index`"
            what = self._workspace.catalogue.describe_photo(name)
            yield Fault(Part.EMBEDDINGS, what, f"{reason}{hint}", repaired=not hint)

    def index(self) -> Iterator[Fault]:
        """The index file: whole, and of the catalogue as it is."""
        catalogue, path = self._workspace.catalogue, self._workspace.index_path
        space, rules = served_space(self._workspace), self._workspace.settings.search
        gallery = catalogue.vectors.gallery(space.id, space.card.dimension)
        if not len(gallery.vectors):
            return
        self.result.checked[Part.INDEX] = 1
        reason = _index_fault(path, gallery, space, rules)
        if reason is None:
            return
        if self._repair:
            build_index(catalogue, space, path, rules)
            yield Fault(Part.INDEX, path.name, reason, repaired=True)
        else:
            yield Fault(Part.INDEX, path.name, f"{reason}; run `satchel index`")


def _index_fault(
    path: Path, gallery: GalleryVectors, space: EmbeddingSpace, rules: SearchRules
) -> str | None:
    if not path.exists():
        return "is missing"
    try:
        index = GalleryIndex.load(path)
    except DamagedIndex as error:
        return str(error)
    if index.made_of != (space.id, gallery.revision, rules, space.fit.in_search):
        return "is of an earlier state of the catalogue, or of other settings"
    same = np.array_equal(index.gallery.photos, gallery.photos)
    if not (same and np.array_equal(index.gallery.products, gallery.products)):
        return "holds other photos than the catalogue"
    return None


class _AnyCard(ModelCard):
    """What the cards of encoders and locators have in common."""

    model_config = ConfigDict(extra="ignore")


def _model(card: Path) -> None:
    read_model(load_card(card, _AnyCard), card.parent)
