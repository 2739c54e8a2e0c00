"""Whitening: directions that vary within a product count less than those that separate products.

A photo's vector varies with the crop, and a product's with lighting, background and angle. Both
covariances are estimated from the gallery itself: each photo is embedded whole and cropped, and
some products have several photos. No other training data or labels are needed.

Within-class covariance normalisation: A. O. Hatch, S. Kajarekar, A. Stolcke, "Within-class
covariance normalization for SVM-based speaker recognition", Interspeech 2006; here by a root of
the covariance, and with the shrinkage of O. Ledoit, M. Wolf, "A well-conditioned estimator for
large-dimensional covariance matrices", Journal of Multivariate Analysis 88(2), 2004. Measured in
docs/decisions/0012-ranking.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.arrays import Ints
from satchel.search.rules import SearchRules

Rows = npt.NDArray[np.float32]

PRIOR_DEGREES: Final = 10
"""Pseudo-count of the isotropic covariance: a handful of photos must not overrule it."""

MAX_DEVIATIONS: Final = 20_000
"""Deviations of each kind, evenly sampled: more change the covariance little and take longer."""


@dataclass(frozen=True, slots=True)
class Whitening:
    """A linear map of vectors, which are scaled to length 1 again.

    Attributes:
        matrix: shape (d, d), float32; (0, 0) is the identity.
    """

    matrix: Rows

    @classmethod
    def none(cls) -> Whitening:
        """The identity map."""
        return cls(np.zeros((0, 0), np.float32))

    def __call__(self, vectors: Rows) -> Rows:
        """Map vectors, shape (n, d), float32, each of length 1 before and after."""
        if not len(self.matrix):
            return vectors
        mapped = vectors @ self.matrix
        mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
        return mapped

    def then(self, other: Whitening) -> Whitening:
        """Both maps, one after the other."""
        if not (len(self.matrix) and len(other.matrix)):
            return other if len(other.matrix) else self
        return Whitening(self.matrix @ other.matrix)


def whiten_gallery(
    vectors: Rows, products: Ints, view_deviations: Rows, rules: SearchRules
) -> Whitening:
    """Learn, from a gallery alone, the map under which its products differ most.

    First by how views of one photo differ, then by how photos of one product do. Neither changes
    anything where the gallery has a single photo.

    Args:
        vectors: shape (n, d), float32, each of length 1.
        products: shape (n,), int64, ascending: product of each photo.
        view_deviations: shape (m, d), float32; see `VectorStore.view_deviations`.
    """
    views = learn_whitening(view_deviations, power=rules.view_power)
    photos, degrees = product_deviations(views(vectors), products)
    return views.then(learn_whitening(photos, power=rules.product_power, degrees=degrees))


def learn_whitening(deviations: Rows, *, power: float, degrees: int | None = None) -> Whitening:
    """Learn the map that divides each direction by its variance among `deviations` to `power`.

    The covariance is shrunk towards the same variance in every direction, the more the fewer
    deviations there are; with none or one, nothing is changed.

    Args:
        deviations: shape (n, d), float32, of views of one product from their mean.
        power: in [0, 0.5]: 0 changes nothing, 0.5 makes the variances equal.
        degrees: how many of them are independent; all, by default.
    """
    count, dimension = deviations.shape
    shrinkage = ledoit_wolf(deviations, count if degrees is None else degrees)
    if power == 0 or shrinkage == 1:
        return Whitening.none()
    variances, axes = _principal(deviations)
    even = shrinkage * variances.sum() / dimension
    # Relative to directions without any deviation, which are left as they are.
    gains = (1 + (1 - shrinkage) * variances / even) ** -power
    matrix = (axes * (gains - 1)) @ axes.T
    matrix[np.diag_indices(dimension)] += 1
    return Whitening(np.ascontiguousarray(matrix, np.float32))


def ledoit_wolf(deviations: Rows, degrees: int) -> float:
    """Share of the even covariance in the estimate with the least expected squared error.

    Ledoit and Wolf 2004, section 3.3, for a known mean of zero and with the unbiased variance of
    the sample covariance, so that a single deviation, which shows no covariance, gives 1. Never
    less than the share that `PRIOR_DEGREES` further deviations in even directions would have.

    Args:
        deviations: shape (n, d).
        degrees: how many of them are independent.

    Returns:
        In [0, 1]: 0 relies on the sample covariance, 1 ignores it.
    """
    count, dimension = deviations.shape
    if degrees < 2 or not deviations.any():
        return 1.0
    lengths = np.einsum("nd,nd->n", deviations, deviations, dtype=np.float64)
    gram = deviations @ deviations.T if count < dimension else deviations.T @ deviations
    squared = float(np.square(gram, dtype=np.float64).sum()) / count**2  # ‖S‖²
    from_even = squared - lengths.mean() ** 2 / dimension  # ‖S − mI‖²
    noise = (np.square(lengths).mean() - squared) / (degrees - 1)  # E‖S − Σ‖²
    least = PRIOR_DEGREES / (PRIOR_DEGREES + degrees)
    return float(np.clip(noise / from_even, least, 1)) if from_even > 0 else 1.0


def product_deviations(vectors: Rows, products: Ints) -> tuple[Rows, int]:
    """Deviations of photos from their product's mean, where it has several.

    Args:
        vectors: shape (n, d), float32.
        products: shape (n,), int64, ascending.

    Returns:
        Deviations, shape (m, d), float32, scaled by √(k / (k − 1)) for k photos, so that their
        covariance is that of photos around the product's true mean; and how many of them are
        independent, one less than photos for each product.
    """
    _, starts, place, count = np.unique(
        products, return_index=True, return_inverse=True, return_counts=True
    )
    several = np.flatnonzero(count > 1)
    if not len(several):
        return np.empty((0, vectors.shape[1]), np.float32), 0
    several = several[:: -(-int(count[several].sum()) // MAX_DEVIATIONS)]
    rows = np.flatnonzero(np.isin(place, several))
    means = np.add.reduceat(vectors, starts, axis=0) / count[:, None]
    scale = np.sqrt(count / np.maximum(count - 1, 1))
    deviations = (vectors[rows] - means[place[rows]]) * scale[place[rows], None]
    return deviations.astype(np.float32), int((count[several] - 1).sum())


def _principal(deviations: Rows) -> tuple[Rows, Rows]:
    """Variances, and their axes (an eigendecomposition): shapes (k,) and (d, k), k ≤ min(n, d)."""
    count, dimension = deviations.shape
    if count >= dimension:
        variances, axes = np.linalg.eigh(deviations.T @ deviations / count)
        return np.maximum(variances, 0), np.ascontiguousarray(axes)
    variances, mixtures = np.linalg.eigh(deviations @ deviations.T / count)
    real = variances > variances[-1] * 1e-6
    variances, mixtures = variances[real], mixtures[:, real]
    axes = deviations.T @ mixtures / np.sqrt(count * variances)
    return variances, np.ascontiguousarray(axes)
