"""How the served encoder compares with the built-in one: measured on the gallery, once.

Thresholds are stated for the built-in encoder (`satchel.encode.fit`). What they are for another is
measured where an encoder is promoted, and by `satchel index` and `satchel curate` where that was on
few photos: distances on the same photos, and the weights of colours and local features by leaving
out photos of the gallery in turn. What scores are made of is measured as long as no confidence was
fitted to them: a calibration holds for the scores that it was made on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from satchel.arrays import Bytes, Doubles, Floats, Ints
from satchel.catalog.vectors import GalleryVectors
from satchel.confidence.stored import confidence_of
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.embed import as_query
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.encode.fit import EncoderFit, read_fit, write_fit
from satchel.errors import EncoderError, IndexMissing
from satchel.evaluate.offline import Query, rank_queries, stored_photos
from satchel.progress import SILENT, Progress
from satchel.search.index import GalleryIndex
from satchel.search.indexing import CatalogueGallery, assemble_index
from satchel.search.rules import SearchRules
from satchel.search.searcher import Searcher
from satchel.search.whitening import MAX_DEVIATIONS, whiten_gallery
from satchel.served import load_locator
from satchel.workflows.embedding import embed_missing
from satchel.workspace import Workspace

MEASURED_PHOTOS: Final = 96
"""Photos that distances are compared on, at most: their median is then exact to about 3 %."""

PER_PRODUCT: Final = 3
FEWEST_PHOTOS: Final = 6
FEWEST_PRODUCTS: Final = 20
"""Products of several photos that the weights are chosen on, at least."""

LEAST_SCALE: Final = 1e-3
"""Vectors are stored in half precision: smaller distances would be rounding."""

MEASURED_QUERIES: Final = 200
WEIGHTS: Final = (0.0, 0.5, 1.0, 2.0)
"""Times the weight of the settings that are tried."""


def fit_space(
    workspace: Workspace, space: EmbeddingSpace, *, progress: Progress = SILENT
) -> EmbeddingSpace:
    """Return an embedding space with its fit, measured anew where that was on few photos.

    Args:
        space: the gallery is embedded in it; of the workspace's locator.
    """
    reference = EmbeddingSpace(read_card(BUILTIN), space.locator)
    fit = read_fit(workspace.models, space.id)
    space = replace(space, fit=fit)
    if space.id == reference.id:
        return space
    try:
        gallery = CatalogueGallery(workspace.catalogue, space).vectors()
    except IndexMissing:
        return space
    # Scores that a confidence was fitted to stay as they are.
    scored = confidence_of(workspace.models, space).measured
    rows, queries = _sample(gallery.products), _queries(gallery.products)
    if len(rows) >= FEWEST_PHOTOS and _outgrown(fit.photos, len(rows)):
        fit = _with_distances(workspace, space, reference, gallery.photos[rows], progress)
        if scored:
            fit = fit.model_copy(update={"searched": space.fit.searched})
        write_fit(workspace.models, space.id, fit)
    several = len(np.unique(gallery.products[queries]))
    if not scored and several >= FEWEST_PRODUCTS and _outgrown(fit.queries, len(queries)):
        fit = _with_weights(workspace, replace(space, fit=fit), gallery, queries, progress)
        write_fit(workspace.models, space.id, fit)
    return replace(space, fit=fit)


def _outgrown(measured: int, possible: int) -> bool:
    return 2 * measured <= possible


def _sample(products: Ints) -> Ints:
    """Rows of some products' first photos, evenly taken.

    Args:
        products: shape (n,), ascending.
    """
    _, starts, place = np.unique(products, return_index=True, return_inverse=True)
    rows = np.flatnonzero(np.arange(len(products)) - starts[place] < PER_PRODUCT)
    step = -(-len(rows) // MEASURED_PHOTOS)
    chosen: Ints = rows[place[rows] % step == 0][:MEASURED_PHOTOS]
    return chosen


def _queries(products: Ints) -> Ints:
    """Rows of photos whose product has another one, evenly taken."""
    _, place, count = np.unique(products, return_inverse=True, return_counts=True)
    several = np.flatnonzero(count[place] > 1)
    return several[:: max(1, -(-len(several) // MEASURED_QUERIES))]


# -- distances -------------------------------------------------------------------------------------


def _with_distances(
    workspace: Workspace,
    space: EmbeddingSpace,
    reference: EmbeddingSpace,
    photos: Bytes,
    progress: Progress,
) -> EncoderFit:
    """Compare distances of photos with those in the built-in encoder's space.

    Returns:
        the space's fit with them.
    """
    _embed(workspace, reference, photos, progress)
    own = _distances(workspace, space, photos)
    built_in = _distances(workspace, reference, photos)
    distance, searched = np.maximum(own / built_in, LEAST_SCALE).round(4).tolist()
    return space.fit.model_copy(
        update={"distance": distance, "searched": searched, "photos": len(photos)}
    )


def _embed(
    workspace: Workspace, reference: EmbeddingSpace, photos: Bytes, progress: Progress
) -> None:
    """Embed photos with the built-in encoder where it has not embedded them.

    Raises:
        EncoderError: a photo could not be embedded.
    """
    names = [photo.tobytes().hex() for photo in photos]
    stored = workspace.catalogue.vectors.embeddings(reference.id, names, None)
    if missing := set(names) - stored.keys():
        embedder = Embedder(Encoder.load(BUILTIN, threads=1), load_locator(workspace))
        problems = embed_missing(workspace, embedder, only=missing, progress=progress)
        if problems:
            raise EncoderError(
                f"{len(problems)} photos could not be embedded with the built-in encoder, the "
                f"first: {problems[0]}"
            )


def _distances(workspace: Workspace, space: EmbeddingSpace, photos: Bytes) -> Doubles:
    """Median distance of different products' photos: of embeddings, and of whitened ones.

    Args:
        photos: shape (n, 32), digests of those that count; whitening is fitted to all there are.
    """
    gallery = CatalogueGallery(workspace.catalogue, space)
    found = gallery.vectors()
    deviations = gallery.view_deviations(at_most=MAX_DEVIATIONS)
    rules = workspace.settings.search
    whitening = whiten_gallery(found.vectors, found.products, deviations, rules)
    counted = {photo.tobytes() for photo in photos}
    rows = np.flatnonzero([photo.tobytes() in counted for photo in found.photos])
    vectors, products = found.vectors[rows], found.products[rows]
    return np.array([usual_distance(one, products) for one in (vectors, whitening(vectors))])


def usual_distance(vectors: Floats, products: Ints) -> float:
    """Median of 1 − cosine over photos of different products; of all photos, if there is one.

    Args:
        vectors: shape (n, d), of length 1; n > 1.
        products: shape (n,).
    """
    apart = products[:, None] != products
    if not apart.any():
        apart = ~np.eye(len(products), dtype=bool)
    return max(1e-6, float(np.median(1 - (vectors @ vectors.T)[apart])))


# -- weights ---------------------------------------------------------------------------------------


def _with_weights(
    workspace: Workspace,
    space: EmbeddingSpace,
    gallery: GalleryVectors,
    rows: Ints,
    progress: Progress,
) -> EncoderFit:
    """Choose the weights of colours, then of local features, by photos that are left out in turn.

    Returns:
        the space's fit with them.
    """
    catalogue, rules = workspace.catalogue, workspace.settings.search
    patches = space.card.patch_dimension is not None and rules.patch_weight > 0
    names = [gallery.photos[row].tobytes().hex() for row in rows]
    photos = list(stored_photos(catalogue, space, names))
    right = gallery.products[rows]

    def indexed(fit: EncoderFit, rules: SearchRules) -> GalleryIndex:
        return assemble_index(CatalogueGallery(catalogue, space), rules, fit)

    def found(index: GalleryIndex) -> Doubles:
        """How far up each photo's product is: 1 / rank, 0 if it is not among the ranked."""
        queries = (
            Query(as_query(photo, space.card.n_passes), [int(row)])
            for photo, row in zip(photos, rows, strict=True)
        )
        searcher = Searcher(index, partial(catalogue.vectors.patches, space.id))
        ranks = rank_queries(searcher, queries).ranks(right)
        progress.advance()
        return np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)

    progress.begin("fit weights", len(WEIGHTS) * (1 + patches))
    plain = rules.model_copy(update={"patch_weight": 0.0})
    fits = {weight: space.fit.model_copy(update={"colours": weight}) for weight in WEIGHTS}
    colours = best_weight({one: found(indexed(fits[one], plain)) for one in WEIGHTS}, right)
    fit, weight = fits[colours], 1.0
    if patches:
        index = indexed(fit, rules)
        weight = best_weight(
            {
                one: found(replace(index, fit=fit.model_copy(update={"patches": one})))
                for one in WEIGHTS
            },
            right,
        )
    return fit.model_copy(update={"patches": weight, "queries": len(rows)})


def best_weight(figures: Mapping[float, Doubles], products: Ints) -> float:
    """Return the best weight; 1, unless another is better by more than two standard errors.

    Photos of one session find each other with any weight: a gallery alone rarely speaks against 1.

    Args:
        figures: weight → shape (n,), the higher the better; of 1 and others.
        products: shape (n,), of each photo: those of one product are not independent.
    """
    _, place = np.unique(products, return_inverse=True)
    count = np.bincount(place)

    def gains() -> Iterator[tuple[float, float]]:
        for weight, figure in figures.items():
            gain = np.bincount(place, figure - figures[1.0]) / count
            error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
            if gain.mean() > 2 * error:
                yield float(gain.mean()), weight

    return max(gains(), default=(0.0, 1.0))[1]
