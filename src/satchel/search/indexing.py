"""`satchel index`: embed what is new, then write the index; and open it, whatever its state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.catalog.photos import PhotoStore
from satchel.catalog.store import Catalogue
from satchel.encode.card import EncoderCard
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.errors import CatalogueError, DamagedIndex, IndexMissing, PhotoError
from satchel.images import RGB, decode
from satchel.parallel import batched, cores, map_in_order
from satchel.photo_header import PhotoLimits
from satchel.records import PhotoEmbedding, Problem
from satchel.search.index import GalleryIndex
from satchel.search.patch_matching import MAX_SAMPLED_PHOTOS
from satchel.search.rules import SearchRules
from satchel.search.whitening import MAX_DEVIATIONS

BATCH_PHOTOS: Final = 8
"""Photos embedded together by one thread: few, so that its pixels stay near the processor."""

COMMIT_BATCHES: Final = 16
"""Batches between two commits: what a kill can cost."""


def embed_gallery(
    catalogue: Catalogue,
    store: PhotoStore,
    encoder: Encoder,
    *,
    limits: PhotoLimits | None = None,
    on_progress: Callable[[int], None],
    on_problem: Callable[[Problem], None],
) -> None:
    """Embed every photo of the catalogue that this encoder has not seen.

    Work is kept every few batches: killed at any moment, the next run goes on from there.

    Args:
        encoder: with one thread, since several batches are under way at once.
        limits: caps on what decoding a stored photo may cost.
        on_progress: called with the number of photos done since the last call.
        on_problem: called with each stored photo that cannot be embedded.
    """
    photos = catalogue.vectors.missing(encoder.id)
    jobs = batched(photos, BATCH_PHOTOS)
    read = partial(_read, catalogue, store, limits)
    done = map_in_order(lambda job: _embed_job(job, read, encoder), jobs, workers=cores())
    for group in batched(done, COMMIT_BATCHES):
        results = [result for batch in group for result in batch]
        catalogue.vectors.put(
            encoder.id,
            (
                (number, seen.box, seen.vector, seen.whole, seen.colours, seen.patches)
                for number, seen in results
                if isinstance(seen, PhotoEmbedding)
            ),
        )
        for _, result in results:
            if isinstance(result, Problem):
                on_problem(result)
        on_progress(len(results))


def _read(
    catalogue: Catalogue, store: PhotoStore, limits: PhotoLimits | None, sha256: str
) -> RGB | Problem:
    """Decode a stored photo, or say why that is impossible."""
    try:
        return decode(store.read(sha256), limits=limits)
    except (PhotoError, CatalogueError) as error:
        return Problem(catalogue.describe_photo(sha256), str(error))


def _embed_job(
    job: list[tuple[int, str]], read: Callable[[str], RGB | Problem], encoder: Encoder
) -> list[tuple[int, PhotoEmbedding | Problem]]:
    """Embed one batch; a photo that cannot be decoded becomes a problem."""
    decoded: list[tuple[int, RGB]] = []
    results: list[tuple[int, PhotoEmbedding | Problem]] = []
    for photo_id, sha256 in job:
        photo = read(sha256)
        if isinstance(photo, Problem):
            results.append((photo_id, photo))
        else:
            decoded.append((photo_id, photo))
    if decoded:
        embedded = embed(encoder, [pixels for _, pixels in decoded], gallery=True)
        results += zip((photo_id for photo_id, _ in decoded), embedded, strict=True)
    return results


def build_index(
    catalogue: Catalogue, card: EncoderCard, path: Path, rules: SearchRules
) -> GalleryIndex:
    """Write the index of all embedded photos to `path` and return it.

    Raises:
        IndexMissing: no photo is embedded, so there is nothing to search.
    """
    gallery = catalogue.vectors.gallery(card.sha256, card.dimension)
    if not len(gallery.vectors):
        raise IndexMissing(_nothing_embedded(catalogue))
    views = catalogue.vectors.view_deviations(card.sha256, card.dimension, at_most=MAX_DEVIATIONS)
    index = GalleryIndex.of(
        gallery, card.sha256, views, rules, _some_patches(catalogue, card, gallery.photos)
    )
    index.save(path)
    return index


def _some_patches(
    catalogue: Catalogue, card: EncoderCard, photos: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int8] | None:
    """Patches of some of the gallery's photos, shape (p, e); None where the encoder gives none."""
    if card.patch_dimension is None:
        return None
    step = -(-len(photos) // MAX_SAMPLED_PHOTOS)
    names = [photo.tobytes().hex() for photo in photos[::step]]
    stored = [
        data
        for some in batched(names, 500)
        for data in catalogue.vectors.patches(card.sha256, some)
    ]
    return np.frombuffer(b"".join(stored), np.int8).reshape(-1, card.patch_dimension)


def open_index(
    catalogue: Catalogue, card: EncoderCard, path: Path, rules: SearchRules
) -> GalleryIndex:
    """Load the index; absent, stale, damaged or of other rules, make it again from the database.

    Nothing is embedded here: photos without a vector are left to `satchel index`.

    Raises:
        IndexMissing: no photo is embedded, so there is nothing to search.
    """
    try:
        index = GalleryIndex.load(path)
    except DamagedIndex:
        return build_index(catalogue, card, path, rules)
    wanted = (card.sha256, catalogue.revision(), rules)
    if (index.encoder, index.gallery.revision, index.rules) != wanted:
        return build_index(catalogue, card, path, rules)
    return index


def _nothing_embedded(catalogue: Catalogue) -> str:
    size = catalogue.size()
    if size.photos == 0:
        return (
            "the catalogue is empty: import your products' photos with "
            "`satchel import catalogue.csv` (or a folder per code), then run `satchel index`"
        )
    return f"there is no index yet of the catalogue's {size.photos:,} photos: run `satchel index`"
