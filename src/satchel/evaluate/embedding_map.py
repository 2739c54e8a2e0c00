"""Two-dimensional embedding map: t-SNE or PCA of vectors, for plots."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from satchel.arrays import Floats, Ints

MOST_POINTS: Final = 2_000
LEAST_PER_PRODUCT: Final = 5
"""Least photos of a product on the map, if it has as many: one shows no neighbourhood."""

FIRST_DIMENSIONS: Final = 50
PERPLEXITY: Final = 30.0
FEWEST_FOR_TSNE: Final = 10

Method = Literal["t-SNE", "PCA"]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingMap:
    """Coordinates of vectors in the plane.

    Attributes:
        rows: shape (m,), int64, ascending: which vectors are shown.
        xy: shape (m, 2), float32, in [0, 1]; proportions are kept, so one side may not reach 1.
        method: how they were laid out. PCA keeps large distances, and shows few clusters.
    """

    rows: Ints
    xy: Floats
    method: Method


def embedding_map(vectors: Floats, products: npt.NDArray[Any], *, seed: int = 0) -> EmbeddingMap:
    """Project vectors onto a plane, keeping neighbours together.

    PCA to 50 dimensions, then t-SNE (van der Maaten and Hinton, "Visualizing Data using t-SNE",
    2008) begun from the first two of them. t-SNE comes from scikit-learn, which the extra
    `train` brings; without it the map is the first two principal components.

    Args:
        vectors: shape (n, d), float32.
        products: shape (n,); sampling goes by them, see `sample_by_product`.
        seed: the same seed and data give the same map.
    """
    rows = sample_by_product(products, MOST_POINTS, seed=seed)
    flat = principal_components(vectors[rows], FIRST_DIMENSIONS)
    if len(rows) < FEWEST_FOR_TSNE:
        return EmbeddingMap(rows, _in_unit_square(flat), "PCA")
    try:
        manifold = importlib.import_module("sklearn.manifold")
        threads = importlib.import_module("threadpoolctl")  # scikit-learn brings it
    except ImportError:
        return EmbeddingMap(rows, _in_unit_square(flat), "PCA")
    spread = flat[:, 0].std() or 1.0
    layout = manifold.TSNE(
        perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
        init=_two(flat) / spread * 1e-4,  # the scale that scikit-learn gives its own PCA start
        random_state=seed,
    )
    # Several threads add up in any order, and stall each other where the cores are busy.
    with threads.threadpool_limits(1):
        laid_out = layout.fit_transform(flat)
    return EmbeddingMap(rows, _in_unit_square(laid_out), "t-SNE")


def sample_by_product(products: npt.NDArray[Any], most: int, *, seed: int = 0) -> Ints:
    """Choose at most `most` rows, evenly over the products.

    Where there are too many products to show `LEAST_PER_PRODUCT` photos of each, products are
    drawn first; then every product gives a photo in turn, until `most` are chosen.

    Returns:
        Rows, int64, ascending.
    """
    if len(products) <= most:
        return np.arange(len(products))
    rng = np.random.default_rng(seed)
    _, number = np.unique(products, return_inverse=True)
    drawn = rng.permutation(number.max() + 1)[: max(1, most // LEAST_PER_PRODUCT)]
    rows = rng.permutation(np.flatnonzero(np.isin(number, drawn)))
    rows = rows[np.argsort(number[rows], kind="stable")]
    sizes = np.bincount(number[rows])
    starts = np.cumsum(sizes) - sizes
    turn = np.arange(len(rows)) - starts[number[rows]]
    chosen = rows[np.argsort(turn, kind="stable")[:most]]
    return np.sort(chosen).astype(np.int64)


def principal_components(vectors: Floats, dimensions: int) -> Floats:
    """Project onto the directions of greatest variance; shape (n, min(dimensions, n, d)).

    Each direction points to where its largest coordinate is positive, so that the same vectors
    give the same picture everywhere.
    """
    if not len(vectors):
        return np.zeros((0, min(dimensions, vectors.shape[1])), np.float32)
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:dimensions]
    largest = np.abs(directions).argmax(1)
    directions *= np.where(directions[np.arange(len(directions)), largest] < 0, -1, 1)[:, None]
    projected: Floats = (centred @ directions.T).astype(np.float32)
    return projected


def _two(points: Floats) -> Floats:
    """The first two columns; zeros for one that is missing."""
    padded = np.zeros((len(points), 2), np.float32)
    padded[:, : points.shape[1]] = points[:, :2]
    return padded


def _in_unit_square(points: Floats) -> Floats:
    """Scale both axes by one factor so that the points fill the unit square, centred."""
    flat = _two(points)
    if not len(flat):
        return flat
    low, high = flat.min(0), flat.max(0)
    side = float((high - low).max())
    if side == 0:
        return np.full_like(flat, 0.5)
    placed: Floats = np.clip((flat - (low + high) / 2) / side + 0.5, 0, 1)
    return placed.astype(np.float32)
