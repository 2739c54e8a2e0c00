"""Distances between embeddings: Euclidean, cosine, Mahalanobis; numpy only.

Mahalanobis distance weights each direction by how little photos of one product differ along it.
With the covariance S of those differences, `Whitening` holds W = S^(−1/2): after multiplying
embeddings by W, Euclidean distance is Mahalanobis, in training (`losses.whitening`) and in an
index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

Distance = Literal["cosine", "euclidean", "mahalanobis"]
DISTANCES: Final[tuple[Distance, ...]] = get_args(Distance)


def euclidean(left: Floats, right: Floats) -> Float64s:
    """Distances of all pairs: shapes (n, d) and (m, d) → (n, m), ≥ 0."""
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    distances: Float64s = np.sqrt(np.maximum(squares, 0))
    return distances


def cosine(left: Floats, right: Floats) -> Float64s:
    """1 − cosine of all pairs: shapes (n, d) and (m, d) → (n, m), in [0, 2]."""
    return np.clip(1 - _of_length_1(left) @ _of_length_1(right).T, 0, 2)


def mahalanobis(left: Floats, right: Floats, covariance: Floats) -> Float64s:
    """√((x − y)ᵀ S⁻¹ (x − y)) of all pairs: shapes (n, d), (m, d) and (d, d) → (n, m)."""
    whitening = Whitening.of(covariance)
    return euclidean(whitening.apply(left), whitening.apply(right))


def within_product(vectors: Floats, labels: npt.NDArray[Any]) -> Float64s:
    """Return how photos differ from the mean of their product.

    Args:
        vectors: shape (n, d).
        labels: shape (n,), of any kind.

    Returns:
        shape (k, d): of the photos whose product has another one.

    Raises:
        ValueError: shapes do not fit, or no product has two photos.
    """
    if vectors.ndim != 2 or labels.shape != vectors.shape[:1]:
        raise ValueError(
            f"expected vectors of shape (n, d) and labels of shape (n,), got {vectors.shape} and "
            f"{labels.shape}"
        )
    _, product, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(means, product, vectors)
    means /= counts[:, None]
    able = counts[product] > 1
    if not able.any():
        raise ValueError("expected a product with two photos or more, got one photo of each")
    differences: Float64s = (vectors - means[product])[able]
    return differences


def ledoit_wolf(centred: Floats) -> tuple[Float64s, float]:
    """Estimate a covariance, shrunk towards a multiple of the identity just as much as pays.

    Ledoit and Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices",
    Journal of Multivariate Analysis 88, 2004, section 3.3: with S = XᵀX/n and μ = tr S / d,
    (1 − b²/d²) S + (b²/d²) μ I, d² = ‖S − μ I‖², b² = min(d², Σ ‖x xᵀ − S‖² / n²).

    Args:
        centred: shape (n, d), of mean zero.

    Returns:
        the covariance, shape (d, d), and the share of the identity, in [0, 1].

    Raises:
        ValueError: nothing varies.
    """
    x = np.asarray(centred, np.float64)
    n, d = x.shape
    sample = x.T @ x / n
    scale = np.trace(sample) / d
    if not scale > 0:
        raise ValueError("expected vectors that differ from each other, all are equal")
    identity = np.eye(d)
    spread = ((sample - scale * identity) ** 2).sum()
    noise = (((x**2).sum(1) ** 2).sum() / n - (sample**2).sum()) / n
    share = float(min(noise, spread) / spread) if spread > 0 else 0.0
    covariance: Float64s = (1 - share) * sample + share * scale * identity
    return covariance, share


@dataclass(frozen=True, slots=True)
class Whitening:
    """W, with which Euclidean distance becomes Mahalanobis.

    Attributes:
        matrix: shape (d, d), float64, symmetric: S^(−1/2).
        shrinkage: share of the identity in S, in [0, 1]; 0 where S was given.
    """

    matrix: Float64s
    shrinkage: float = 0.0

    @classmethod
    def of(cls, covariance: Floats, shrinkage: float = 0.0) -> Whitening:
        """Make W of a covariance.

        Raises:
            ValueError: it is not symmetric and positive.
        """
        covariance = np.asarray(covariance, np.float64)
        if covariance.ndim != 2 or not np.allclose(covariance, covariance.T):
            raise ValueError(f"expected a symmetric matrix, got shape {covariance.shape}")
        values, axes = np.linalg.eigh(covariance)
        if values[0] <= values[-1] * len(values) * np.finfo(np.float64).eps:
            raise ValueError(
                "expected a covariance in which every direction varies; shrink it (ledoit_wolf)"
            )
        return cls((axes / np.sqrt(values)) @ axes.T, shrinkage)

    @classmethod
    def fit(cls, vectors: Floats, labels: npt.NDArray[Any]) -> Whitening:
        """Fit to the differences within products, shrunk (Ledoit–Wolf).

        Raises:
            ValueError: no product has two photos that differ.
        """
        return cls.of(*ledoit_wolf(within_product(vectors, labels)))

    def apply(self, vectors: Floats, *, normalise: bool = False) -> Float64s:
        """W x for each vector x.

        Args:
            vectors: shape (n, d). Such as W was fitted to: lengths count.
            normalise: make them length 1 after, for an index that compares by cosine: then the
                angle between whitened vectors counts, no longer the Mahalanobis distance.
        """
        whitened: Float64s = np.asarray(vectors, np.float64) @ self.matrix.T
        return _of_length_1(whitened) if normalise else whitened


def _of_length_1(vectors: Floats) -> Float64s:
    vectors = np.asarray(vectors, np.float64)
    scaled: Float64s = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
