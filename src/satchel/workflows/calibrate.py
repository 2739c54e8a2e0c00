"""`satchel calibrate`: fit confidences on photos whose products are known.

Realistic query photos, each with its code, are ranked as identification does; a code
that the catalogue does not have is an item that is not in it. The fitted confidence applies to
this encoder in this workspace from then on.

A photo of the gallery retrieves itself, no evidence on future photos. So the catalogue's own
photos and copies of them are left out, and of copies among the photos all but one.

Why only real photos: docs/decisions/0011-honest-answers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from satchel.catalog.importers import RowSource
from satchel.catalog.photos import sha256
from satchel.catalog.rows import CatalogueRow, RowProblem
from satchel.confidence.figures import Measured
from satchel.confidence.fit import FEWEST_QUERIES, fit_confidence
from satchel.confidence.outcomes import NOT_THERE, RankedPair, outcomes_of
from satchel.confidence.stored import Calibration
from satchel.curate.known import KnownPictures
from satchel.decoding.decoder import Decoder
from satchel.decoding.pool import DecoderPool
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.errors import PhotoError, UsageError
from satchel.evaluate.offline import Query, rank_pairs
from satchel.identify import Identifier
from satchel.images import read_photo
from satchel.parallel import cores, map_in_order
from satchel.progress import Progress
from satchel.records import PhotoEmbedding, Problem
from satchel.search.indexing import open_index
from satchel.workspace import Workspace

STEPS: Final = 2
"""Progress steps of each photo: one for encoding, one for comparing and ranking."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Photos that were left out of the fit.

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
class _EmbeddedPhoto:
    """An embedded photo; its file is read again where its pixels are needed."""

    path: Path
    code: str
    embedding: PhotoEmbedding


def calibrate(
    workspace: Workspace,
    embedder: Embedder,
    photos: RowSource,
    source: str,
    *,
    progress: Progress,
    on_problem: Callable[[Problem], None],
) -> tuple[Calibration, Measured, LeftOut]:
    """Fit the confidences of answers on photos whose codes are known.

    Args:
        embedder: the one that is served, with one thread: several photos are embedded at once.
        photos: a row for each photo, of one item each; faulty rows are reported and left out.
        source: name of these photos, for the record.
        progress: a stage of `STEPS` for each row.
        on_problem: called with each photo that cannot be used.

    Raises:
        UsageError: there are fewer than `FEWEST_QUERIES` usable photos of products in the index,
            or fewer than two products.
        IndexMissing: there is nothing to search.
    """
    space = embedder.space
    index = open_index(workspace.catalogue, space, workspace.index_path, workspace.settings.search)
    progress.begin("calibrate", STEPS * photos.total)
    indexed = set(np.unique(index.gallery.products).tolist())
    with DecoderPool(memory_bytes=workspace.settings.photos.limits().max_decode_bytes) as decoder:
        identifier = Identifier.of(workspace, embedder, index, decoder=decoder)
        embedded, own = _embed(workspace, identifier, photos, progress, on_problem)
        pictures = _pictures(workspace, space, embedded, decoder)
        new, copies = _new_photos(pictures, len(embedded), progress)
    ids = workspace.catalogue.ids_of_codes()
    codes = [ids.get(one.code, NOT_THERE) for one in embedded]
    rights = [right if right in indexed else NOT_THERE for right in codes]
    left_out = LeftOut(own + copies.known, copies.repeated)
    known = sum(rights[row] != NOT_THERE for row in new)
    if len(indexed) < 2:
        raise UsageError(
            "expected an index of two products or more, got one; import more, and run "
            "`satchel index`"
        )
    if known < FEWEST_QUERIES:
        aside = "" if left_out == LeftOut() else f"; {left_out}"
        raise UsageError(
            f"expected {FEWEST_QUERIES} or more usable photos of products in the index, got "
            f"{known:,} ({photos.total:,} given{aside}); nothing was changed"
        )
    pairs = rank_pairs(
        identifier.searcher,
        (Query(embedded[row].embedding) for row in new),
        [rights[row] for row in new],
        progress=progress,
    )
    calibration, measured = fit_calibration(workspace, space, pairs, source, len(indexed))
    return calibration, measured, left_out


def fit_calibration(
    workspace: Workspace,
    space: EmbeddingSpace,
    pairs: Sequence[RankedPair],
    source: str,
    products: int,
) -> tuple[Calibration, Measured]:
    """Fit confidences on ranked queries, by the workspace's settings.

    Args:
        source: name of the queries, for the record.
        products: in the index.
    """
    wishes = workspace.settings.identify
    confidence, measured = fit_confidence(
        outcomes_of(pairs, absent_share=wishes.absent),
        space.card.confidence,
        source,
        absent_share=wishes.absent,
        precision=wishes.precision,
    )
    made_at = datetime.now(UTC).replace(microsecond=0)
    return (
        Calibration(
            encoder=space.id,
            made_at=made_at,
            source=source,
            products=products,
            confidence=confidence,
            figures=measured.stored(),
        ),
        measured,
    )


def _embed(
    workspace: Workspace,
    identifier: Identifier,
    photos: RowSource,
    progress: Progress,
    on_problem: Callable[[Problem], None],
) -> tuple[list[_EmbeddedPhoto], int]:
    """Embed the photos; return them, and how many others the catalogue has byte by byte."""
    limits = workspace.settings.photos.limits()

    def embed(row: CatalogueRow | RowProblem) -> _EmbeddedPhoto | Problem | None:
        if isinstance(row, RowProblem):
            return row
        try:
            data = read_photo(row.photo, limits)
            name = sha256(data)
            if workspace.catalogue.photo_from(name) or workspace.catalogue.has_photo(name):
                return None
            return _EmbeddedPhoto(row.photo, row.code, identifier.embed([data])[0])
        except PhotoError as error:
            return Problem(str(row.photo), str(error))

    embedded: list[_EmbeddedPhoto] = []
    own = 0
    for photo in map_in_order(embed, photos.rows(), workers=cores()):
        if isinstance(photo, _EmbeddedPhoto):
            embedded.append(photo)
        elif photo is None:
            own += 1
        else:
            on_problem(photo)
        progress.advance(1 if isinstance(photo, _EmbeddedPhoto) else STEPS)
    return embedded, own


def _new_photos(
    pictures: KnownPictures, count: int, progress: Progress
) -> tuple[list[int], LeftOut]:
    """Rows of the photos that are no copies; count those that are."""
    repeats = pictures.repeated()
    new: list[int] = []
    known = repeated = 0
    for row, is_known in enumerate(map_in_order(pictures.is_known, range(count), workers=cores())):
        if is_known:
            known += 1
        elif row in repeats:
            repeated += 1
        else:
            new.append(row)
            continue
        progress.advance(1)
    return new, LeftOut(known, repeated)


def _pictures(
    workspace: Workspace,
    space: EmbeddingSpace,
    embedded: Sequence[_EmbeddedPhoto],
    decoder: Decoder,
) -> KnownPictures:
    """The photos and those of the gallery, by their vectors before whitening."""
    dimension = space.card.dimension
    gallery = workspace.catalogue.vectors.gallery(space.id, dimension)
    limits = workspace.settings.photos.limits()
    vectors = [one.embedding.vector for one in embedded]
    return KnownPictures(
        np.array(vectors, np.float32).reshape(-1, dimension),
        gallery.vectors,
        lambda row: decoder.decode(read_photo(embedded[row].path, limits), limits=limits),
        lambda row: decoder.decode(workspace.photos.read(gallery.photos[row].tobytes().hex())),
        workspace.settings.curate.duplicates,
        scale=space.fit.distance,
    )
