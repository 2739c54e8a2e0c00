"""Scores of queries and gallery, cosine or Euclidean: in float32, or exactly in float64."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from satchel.arrays import Doubles, Floats, Ints

Metric = Literal["cosine", "euclidean"]

DOUBLE_BYTES: Final = 8 * 2**20
"""Memory for the vectors that are held as float64 at a time."""

SMALLEST: Final = float(np.finfo(np.float32).smallest_normal)
LARGEST_NORM: Final = 1e15  # its square, and sums of it, stay far inside float32


class Side:
    """Vectors with their lengths in float64."""

    def __init__(self, vectors: npt.NDArray[Any]) -> None:
        self.vectors = vectors
        self.norms = np.zeros(len(vectors))
        step = max(1, DOUBLE_BYTES // (8 * max(1, vectors.shape[1])))
        for start in range(0, len(vectors), step):
            self.norms[start : start + step] = _lengths(vectors[start : start + step])
        if len(vectors) and not self.norms.max() < LARGEST_NORM:  # NaN is not, either
            raise ValueError("expected finite vectors, no longer than 1e15; got others")

    def unit(self, rows: slice) -> Floats:
        """The rows at length 1, or 0 where they are; float32."""
        norms = self.norms[rows, None]
        scaled = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        if scaled.size and scaled.max() > 1e30:  # subnormal lengths: float32 cannot hold 1/length
            return (self.vectors[rows] * scaled).astype(np.float32)
        unit: Floats = np.multiply(self.vectors[rows], scaled.astype(np.float32), dtype=np.float32)
        return unit

    def plain(self, rows: slice) -> Floats:
        """The rows as they are; float32."""
        return np.asarray(self.vectors[rows], np.float32)


def _lengths(vectors: npt.NDArray[Any]) -> Doubles:
    doubles = vectors.astype(np.float64)
    lengths: Doubles = np.sqrt(_row_products(doubles, doubles))
    return lengths


def _row_products(left: Doubles, right: Doubles) -> Doubles:
    """Inner product of each row with its counterpart."""
    products: Doubles = np.einsum("ij,ij->i", left, right)
    return products


class Scorer:
    """Queries and gallery, and how they are scored: the higher, the nearer.

    The score is the cosine, or minus the squared distance.
    """

    def __init__(self, queries: Side, gallery: Side, metric: Metric) -> None:
        self.queries = queries
        self.gallery = gallery
        self.metric = metric
        self.dimensions = queries.vectors.shape[1]

    def exact(self, query: Ints, row: Ints) -> Doubles:
        """Score pairs in float64; shape (pairs,)."""
        scores = np.zeros(len(query))
        step = max(1, DOUBLE_BYTES // (16 * max(1, self.dimensions)))
        for start in range(0, len(query), step):
            q, g = query[start : start + step], row[start : start + step]
            left = self.queries.vectors[q].astype(np.float64)
            right = self.gallery.vectors[g].astype(np.float64)
            if self.metric == "euclidean":
                left -= right
                scores[start : start + step] = -_row_products(left, left)
            else:
                products = _row_products(left, right)
                lengths = self.queries.norms[q] * self.gallery.norms[g]
                np.divide(products, lengths, out=products, where=lengths > 0)
                scores[start : start + step] = products
        return scores

    def rounding(self, bits: int, query: Ints, longest: float) -> Doubles:
        """Bound the error of these queries' scores, computed in floats of so many bits.

        A sum of d products is off by at most d·u·|a|·|b| to first order (Higham, "Accuracy and
        Stability of Numerical Algorithms", section 3.1); the few operations around it add to d.
        """
        unit = (self.dimensions + 8) * 0.5**bits
        if self.metric == "cosine":
            return np.full(len(query), 2 * unit)
        bound: Doubles = 2 * unit * (self.queries.norms[query] + longest) ** 2
        return bound

    def gallery_block(self, rows: slice) -> Floats:
        """Rows of the gallery as `approximate` takes them."""
        return self.gallery.unit(rows) if self.metric == "cosine" else self.gallery.plain(rows)

    def approximate(self, query: slice, block: Floats, rows: slice) -> Floats:
        """Score queries against a block of the gallery in float32; shape (queries, block)."""
        if self.metric == "cosine":
            cosines: Floats = self.queries.unit(query) @ block.T
            return cosines
        scores: Floats = (2 * self.queries.plain(query)) @ block.T
        scores -= np.square(self.queries.norms[query, None]).astype(np.float32)
        scores -= np.square(self.gallery.norms[rows]).astype(np.float32)
        return scores
