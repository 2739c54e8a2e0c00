"""Mahalanobis distance between embeddings, by whitening; numpy only.

Mahalanobis distance weights each direction by how little photos of one product vary along it. With
the covariance S within products, `WithinClassWhitening` holds W = S^(−1/2): after multiplying
embeddings by W, Euclidean distance is Mahalanobis, in training (`losses.whitening`) and in search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

Distance = Literal["cosine", "euclidean", "mahalanobis"]
"""Distances by which encoders are evaluated."""


def within_class_residuals(vectors: Floats, labels: npt.NDArray[Any]) -> Float64s:
    """Return embeddings minus the mean of their product.

    Args:
        vectors: shape (n, d).
        labels: shape (n,), of any kind.

    Returns:
        shape (k, d), of the photos whose product has another photo.

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
    repeated = counts[product] > 1
    if not repeated.any():
        raise ValueError("expected a product with two photos or more, got one photo of each")
    residuals: Float64s = (vectors - means[product])[repeated]
    return residuals


def ledoit_wolf(centred: Floats) -> tuple[Float64s, float]:
    """Estimate a covariance with Ledoit–Wolf shrinkage towards a multiple of the identity.

    Ledoit and Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices",
    Journal of Multivariate Analysis 88, 2004, section 3.3: with S = XᵀX/n and μ = tr S / d,
    (1 − b²/d²) S + (b²/d²) μ I, d² = ‖S − μ I‖², b² = min(d², Σ ‖x xᵀ − S‖² / n²).

    Args:
        centred: shape (n, d), of mean zero.

    Returns:
        the covariance, shape (d, d), and the shrinkage: the weight of the identity, in [0, 1].

    Raises:
        ValueError: all vectors are zero.
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
    shrinkage = float(min(noise, spread) / spread) if spread > 0 else 0.0
    covariance: Float64s = (1 - shrinkage) * sample + shrinkage * scale * identity
    return covariance, shrinkage


@dataclass(frozen=True, slots=True)
class WithinClassWhitening:
    """Within-class covariance normalisation: W makes Euclidean distance Mahalanobis.

    Hatch, Kajarekar and Stolcke, "Within-Class Covariance Normalization", Interspeech 2006.

    Attributes:
        matrix: shape (d, d), float64, symmetric: S^(−1/2).
        shrinkage: weight of the identity in S, in [0, 1]; 0 where S was given.
    """

    matrix: Float64s
    shrinkage: float = 0.0

    @classmethod
    def of(cls, covariance: Floats, shrinkage: float = 0.0) -> WithinClassWhitening:
        """W of a covariance.

        Raises:
            ValueError: it is not symmetric and positive definite.
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
    def fit(cls, vectors: Floats, labels: npt.NDArray[Any]) -> WithinClassWhitening:
        """Fit to residuals within products, with Ledoit–Wolf shrinkage.

        Raises:
            ValueError: no product has two photos that differ.
        """
        return cls.of(*ledoit_wolf(within_class_residuals(vectors, labels)))

    def apply(self, vectors: Floats) -> Float64s:
        """W x for each vector x, shape (n, d), normalised or not, as those W was fitted to."""
        whitened: Float64s = np.asarray(vectors, np.float64) @ self.matrix.T
        return whitened
