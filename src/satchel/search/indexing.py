"""`satchel index`: embed new photos, write the index, and open it, rebuilding it if needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from satchel.arrays import Bytes, Floats
from satchel.catalog.photos import PhotoStore
from satchel.catalog.store import Catalogue
from satchel.catalog.vectors import GalleryVectors
from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.fit import NOT_MEASURED, EncoderFit
from satchel.errors import (
    CatalogueError,
    DamagedIndex,
    IndexMissing,
    PhotoError,
    StorageError,
)
from satchel.images import RGB, closer
from satchel.parallel import batched, cores, map_in_order
from satchel.photo_header import PhotoLimits
from satchel.progress import SILENT, Progress
from satchel.records import Box, PhotoEmbedding, Problem
from satchel.search.index import GalleryIndex
from satchel.search.patch_matching import MAX_SAMPLED_PHOTOS
from satchel.search.rules import SearchRules
from satchel.search.whitening import MAX_DEVIATIONS

BATCH_PHOTOS: Final = 8
"""Photos embedded together by one thread: few, so that the pixels stay in the CPU cache."""

COMMIT_BATCHES: Final = 16
"""Batches between two commits: what a kill can cost."""


def embed_gallery(
    catalogue: Catalogue,
    store: PhotoStore,
    embedder: Embedder,
    *,
    only: Set[str] | None = None,
    limits: PhotoLimits | None = None,
    decoder: Decoder = IN_PROCESS,
    on_problem: Callable[[Problem], None],
    progress: Progress = SILENT,
) -> None:
    """Embed every photo of the catalogue that has no embedding of this space yet.

    Work is kept every few batches: killed at any moment, the next run resumes there.

    Args:
        embedder: with one thread, since several batches are under way at once.
        only: SHA-256 of the photos in question, if not all of them are.
        limits: caps on what decoding a stored photo may cost.
        decoder: what decodes the photos.
        on_problem: called with each stored photo that cannot be embedded.
        progress: advanced by the photos of each commit.
    """
    space = embedder.space.id
    photos = (one for one in catalogue.vectors.missing(space) if only is None or one[1] in only)
    jobs = batched(photos, BATCH_PHOTOS)
    read = partial(_read, catalogue, store, decoder, limits)

    def near(sha256: str, box: Box) -> RGB:
        return closer(store.read(sha256), box, limits=limits, decoder=decoder)

    done = map_in_order(lambda job: _embed_job(job, read, embedder, near), jobs, workers=cores())
    for group in batched(done, COMMIT_BATCHES):
        results = [result for batch in group for result in batch]
        catalogue.vectors.put(
            space,
            ((photo, found) for photo, found in results if isinstance(found, PhotoEmbedding)),
        )
        for _, result in results:
            if isinstance(result, Problem):
                on_problem(result)
        progress.advance(len(results))


def _read(
    catalogue: Catalogue,
    store: PhotoStore,
    decoder: Decoder,
    limits: PhotoLimits | None,
    sha256: str,
) -> RGB | Problem:
    """Decode a stored photo, or say why that is impossible."""
    try:
        return decoder.decode(store.read(sha256), limits=limits)
    except (PhotoError, CatalogueError) as error:
        return Problem(catalogue.describe_photo(sha256), str(error))


def _embed_job(
    job: list[tuple[int, str]],
    read: Callable[[str], RGB | Problem],
    embedder: Embedder,
    near: Callable[[str, Box], RGB],
) -> list[tuple[int, PhotoEmbedding | Problem]]:
    """Embed one batch; a photo that cannot be decoded becomes a problem."""
    decoded: list[tuple[int, RGB]] = []
    names: list[str] = []
    results: list[tuple[int, PhotoEmbedding | Problem]] = []
    for photo_id, sha256 in job:
        photo = read(sha256)
        if isinstance(photo, Problem):
            results.append((photo_id, photo))
        else:
            decoded.append((photo_id, photo))
            names.append(sha256)

    def closer_or_as_it_is(at: int, box: Box) -> RGB:
        try:
            return near(names[at], box)
        except PhotoError:
            return decoded[at][1]

    if decoded:
        embedded = embedder.embed(
            [pixels for _, pixels in decoded], gallery=True, closer=closer_or_as_it_is
        )
        results += zip((photo_id for photo_id, _ in decoded), embedded, strict=True)
    return results


class EmbeddedGallery(Protocol):
    """The embeddings of a gallery's photos in one space: in a catalogue, or in memory."""

    @property
    def encoder(self) -> str:
        """Id of the embedding space; see `satchel.encode.embedder.EmbeddingSpace`."""

    @property
    def patch_dimension(self) -> int | None:
        """Length of a local feature; None where the encoder gives none."""

    def vectors(self) -> GalleryVectors:
        """One row for each photo of each product, ordered by product."""

    def view_deviations(self, *, at_most: int) -> Floats:
        """See `VectorStore.view_deviations`."""

    def patches(self, photos: Sequence[str]) -> Sequence[bytes]:
        """See `VectorStore.patches`."""


class CatalogueGallery:
    """The gallery of a catalogue in one embedding space; see `EmbeddedGallery`."""

    def __init__(self, catalogue: Catalogue, space: EmbeddingSpace) -> None:
        self._catalogue = catalogue
        self._dimension = space.card.dimension
        self.encoder = space.id
        self.patch_dimension = space.card.patch_dimension

    def vectors(self) -> GalleryVectors:
        """Every photo that is searched.

        Raises:
            IndexMissing: no photo is embedded, so there is nothing to search.
        """
        found = self._catalogue.vectors.gallery(self.encoder, self._dimension)
        if not len(found.vectors):
            raise IndexMissing(_nothing_embedded(self._catalogue))
        return found

    def view_deviations(self, *, at_most: int) -> Floats:
        """View deviations of the photos that are searched."""
        store = self._catalogue.vectors
        return store.view_deviations(self.encoder, self._dimension, at_most=at_most)

    def patches(self, photos: Sequence[str]) -> Sequence[bytes]:
        """Local features of these photos, by SHA-256."""
        return self._catalogue.vectors.patches(self.encoder, photos)


def assemble_index(
    gallery: EmbeddedGallery, rules: SearchRules, fit: EncoderFit = NOT_MEASURED
) -> GalleryIndex:
    """Learn the index of an embedded gallery: whitening, colours and the space of local features.

    Args:
        gallery: of at least one photo.
        fit: of its embedding space.
    """
    vectors = gallery.vectors()
    return GalleryIndex.of(
        vectors,
        gallery.encoder,
        gallery.view_deviations(at_most=MAX_DEVIATIONS),
        rules,
        _some_patches(gallery, vectors.photos),
        fit=fit,
    )


def _some_patches(gallery: EmbeddedGallery, photos: Bytes) -> npt.NDArray[np.int8] | None:
    """Local features of some photos, shape (p, e); None where the encoder gives none."""
    if gallery.patch_dimension is None:
        return None
    step = -(-len(photos) // MAX_SAMPLED_PHOTOS)
    names = [photo.tobytes().hex() for photo in photos[::step]]
    stored = [data for some in batched(names, 500) for data in gallery.patches(some)]
    return np.frombuffer(b"".join(stored), np.int8).reshape(-1, gallery.patch_dimension)


def build_index(
    catalogue: Catalogue,
    space: EmbeddingSpace,
    path: Path,
    rules: SearchRules,
    *,
    progress: Progress = SILENT,
) -> GalleryIndex:
    """Write the index of all embedded photos to `path` and return it.

    Raises:
        IndexMissing: no photo is embedded, so there is nothing to search.
        StorageError: the index cannot be written.
    """
    progress.begin("write the index", 0)
    index = assemble_index(CatalogueGallery(catalogue, space), rules, space.fit)
    index.save(path)
    return index


def open_index(
    catalogue: Catalogue, space: EmbeddingSpace, path: Path, rules: SearchRules
) -> GalleryIndex:
    """Load the index; rebuild it from the database if absent, stale, damaged or of other rules.

    Nothing is embedded here: photos without a vector are left to `satchel index`. An index that
    cannot be written, as on a full disk, is used from memory.

    Raises:
        IndexMissing: no photo is embedded, so there is nothing to search.
    """
    try:
        index = GalleryIndex.load(path)
    except DamagedIndex:
        index = None
    wanted = (space.id, catalogue.revision(), rules, space.fit.in_search)
    if index is not None and index.made_of == wanted:
        return index
    index = assemble_index(CatalogueGallery(catalogue, space), rules, space.fit)
    try:
        index.save(path)
    except StorageError as error:
        logging.getLogger(__name__).warning("%s; the index is used from memory", error)
    return index


def _nothing_embedded(catalogue: Catalogue) -> str:
    size = catalogue.size()
    if size.photos == 0 and size.products:
        return (
            "the catalogue's products have no photos yet: collect some with `satchel collect "
            "--source NAME`, or import yours with `satchel import`, then run `satchel index`"
        )
    if size.photos == 0:
        return (
            "the catalogue is empty: import your products' photos with "
            "`satchel import catalogue.csv` (or a folder per code), then run `satchel index`"
        )
    return (
        f"there is no index yet of the catalogue's {size.photos:,} photos, or none with this "
        "encoder and [locate] setting: run `satchel index`"
    )
