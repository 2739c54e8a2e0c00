"""`satchel calibrate`: how sure answers are, measured on photos whose products are known.

Photos as people send them, each with its code, go the way that an identification goes; a code
that the catalogue does not have stands for an item that is not in it. What comes out counts from
then on, in this workspace, for this encoder.

A photo that the catalogue has finds itself, and says nothing of photos that are to come. So the
catalogue's own photos and copies of them are left out, and of copies among the photos all but one.

Why only real photos: docs/decisions/0011-honest-answers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from satchel.catalog.importers import RowSource
from satchel.catalog.photos import sha256
from satchel.catalog.rows import CatalogueRow, RowProblem
from satchel.confidence.fit import (
    FEWEST_QUERIES,
    NOT_THERE,
    Asked,
    Measured,
    ask,
    fit_confidence,
    outcomes_of,
)
from satchel.confidence.stored import Calibration
from satchel.curate.known import KnownPictures
from satchel.encode.encoder import Encoder
from satchel.errors import PhotoError, UsageError
from satchel.identify import Identifier
from satchel.images import decode, read_photo
from satchel.parallel import cores, map_in_order
from satchel.records import PhotoEmbedding, Problem
from satchel.search.indexing import open_index
from satchel.search.ranking import POOL
from satchel.workspace import Workspace

STEPS: Final = 2
"""How often progress is reported of each photo: once encoded, once compared and ranked."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Photos that say nothing of photos to come.

    Attributes:
        known: the catalogue's own, or copies of them.
        repeated: copies of others among them.
    """

    known: int = 0
    repeated: int = 0

    def __str__(self) -> str:
        parts = []
        if self.known:
            parts.append(f"{self.known:,} that the catalogue has, or has a copy of")
        if self.repeated:
            parts.append(f"{self.repeated:,} that are copies of others among them")
        return f"left out: {', '.join(parts)}" if parts else "none left out"


@dataclass(frozen=True, slots=True)
class _Looked:
    """A photo as it was encoded; its file is read again where its pixels are wanted once more."""

    path: Path
    code: str
    seen: PhotoEmbedding


def calibrate(
    workspace: Workspace,
    encoder: Encoder,
    photos: RowSource,
    source: str,
    *,
    on_progress: Callable[[int], None],
    on_problem: Callable[[Problem], None],
) -> tuple[Calibration, Measured, LeftOut]:
    """Fit how sure answers are on photos whose codes are known.

    Args:
        encoder: the one that is served, with one thread, for several photos are under way at once.
        photos: a row for each photo, of one item each; rows that are faulty are told and left out.
        source: what to call these photos.
        on_progress: called with a number of steps, `STEPS` for each row in all.
        on_problem: called with each photo that cannot be used.

    Raises:
        UsageError: there are fewer than `FEWEST_QUERIES` usable photos of products in the index,
            or fewer than two products.
        IndexMissing: there is nothing to search.
    """
    index = open_index(
        workspace.catalogue, encoder.card, workspace.index_path, workspace.settings.search
    )
    identifier = Identifier.of(workspace, encoder, index)
    indexed = set(np.unique(index.gallery.products).tolist())
    looked, own = _look(workspace, identifier, photos, on_progress, on_problem)
    ids = workspace.catalogue.ids_of_codes()
    codes = [ids.get(one.code, NOT_THERE) for one in looked]
    rights = [right if right in indexed else NOT_THERE for right in codes]
    pictures = _pictures(workspace, encoder, looked)
    asked, copies = _ask(identifier, looked, rights, pictures, on_progress)
    left_out = LeftOut(own + copies.known, copies.repeated)
    known = sum(one.right != NOT_THERE for one in asked)
    if known < FEWEST_QUERIES or len(indexed) < 2:
        raise UsageError(
            f"expected {FEWEST_QUERIES} or more photos of products in the index, and two or more "
            f"products; got {known:,} and {len(indexed):,} ({left_out}). Nothing was changed"
        )
    wishes = workspace.settings.identify
    confidence, measured = fit_confidence(
        outcomes_of(index, asked, absent_share=wishes.absent),
        encoder.card.confidence,
        source,
        absent_share=wishes.absent,
        precision=wishes.precision,
        coverage=wishes.coverage,
    )
    figures = {name: value for name, value in asdict(measured).items() if name != "bins"}
    made_at = datetime.now(UTC).replace(microsecond=0)
    return (
        Calibration(
            encoder=encoder.id,
            made_at=made_at,
            source=source,
            products=len(indexed),
            confidence=confidence,
            figures=figures,
        ),
        measured,
        left_out,
    )


def _look(
    workspace: Workspace,
    identifier: Identifier,
    photos: RowSource,
    on_progress: Callable[[int], None],
    on_problem: Callable[[Problem], None],
) -> tuple[list[_Looked], int]:
    """Encode the photos; return them, and how many others the catalogue has byte by byte."""
    limits = workspace.settings.photos.limits()

    def look(row: CatalogueRow | RowProblem) -> _Looked | Problem | None:
        if isinstance(row, RowProblem):
            return row
        try:
            data = read_photo(row.photo, limits)
            name = sha256(data)
            if workspace.catalogue.photo_from(name) or workspace.catalogue.has_photo(name):
                return None
            return _Looked(row.photo, row.code, identifier.embed([data])[0])
        except PhotoError as error:
            return Problem(str(row.photo), str(error))

    looked: list[_Looked] = []
    own = 0
    for found in map_in_order(look, photos.rows(), workers=cores()):
        if isinstance(found, _Looked):
            looked.append(found)
        elif found is None:
            own += 1
        else:
            on_problem(found)
        on_progress(1 if isinstance(found, _Looked) else STEPS)
    return looked, own


def _ask(
    identifier: Identifier,
    looked: Sequence[_Looked],
    rights: Sequence[int],
    pictures: KnownPictures,
    on_progress: Callable[[int], None],
) -> tuple[list[Asked], LeftOut]:
    """Rank the photos that are no copies; count those that are."""
    repeats = pictures.repeated()

    def answer(row: int) -> Asked | LeftOut:
        if pictures.is_known(row):
            return LeftOut(known=1)
        if row in repeats:
            return LeftOut(repeated=1)
        return ask(
            lambda without: identifier.rank([looked[row].seen], top=POOL, without=without),
            rights[row],
        )

    asked: list[Asked] = []
    known = repeated = 0
    for found in map_in_order(answer, range(len(looked)), workers=cores()):
        if isinstance(found, LeftOut):
            known, repeated = known + found.known, repeated + found.repeated
        else:
            asked.append(found)
        on_progress(1)
    return asked, LeftOut(known, repeated)


def _pictures(workspace: Workspace, encoder: Encoder, looked: Sequence[_Looked]) -> KnownPictures:
    """The photos beside those of the gallery, as they are before they are whitened."""
    dimension = encoder.card.dimension
    gallery = workspace.catalogue.vectors.gallery(encoder.id, dimension)
    limits = workspace.settings.photos.limits()
    vectors = [one.seen.vector for one in looked]
    return KnownPictures(
        np.array(vectors, np.float32).reshape(-1, dimension),
        gallery.vectors,
        lambda row: decode(read_photo(looked[row].path, limits), limits=limits),
        lambda row: decode(workspace.photos.read(gallery.photos[row].tobytes().hex())),
        workspace.settings.curate.duplicates,
    )
