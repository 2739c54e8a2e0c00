"""Candidate re-ranking by collaborative representation.

The first ranking scores each product by its own photos alone. Here the nearest photos of all
candidates compete: the query is reconstructed from them by kernel ridge regression, solved anew for
each query, and a product's score is the sum of its photos' weights. What candidates have in common
gains nothing, and near-duplicate photos share one weight.

Nothing is trained beforehand: a new product competes as soon as it is indexed.

- L. Zhang, M. Yang, X. Feng, "Sparse representation or collaborative representation: which helps
  face recognition?", ICCV 2011; here with an exponential kernel.
- L. Bottou, V. Vapnik, "Local learning algorithms", Neural Computation 4(6), 1992.

Measured in docs/decisions/0020-re-ranking.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.arrays import Floats

STEEPNESS: Final = 10.0
"""γ of the kernel exp(γ (cosine − 1))."""

RIDGE: Final = 0.1
"""λ, added to the diagonal of the kernel matrix (1 before)."""


def collaborative_scores(
    query: Floats,
    photos: Floats,
    products: npt.NDArray[np.integer],
    count: int,
    scale: float = 1.0,
) -> Floats:
    """Score products by the share of the query that their photos reconstruct.

    Args:
        query: shape (d,), of length 1.
        photos: shape (m, d), of length 1.
        products: shape (m,), the product of each photo, in [0, count).
        scale: how many times the built-in encoder's distances theirs are.

    Returns:
        shape (count,), float32: about 1 for a product that holds the query photo itself, about 0
        for one that adds nothing to the others; may be negative.
    """
    steepness = STEEPNESS / scale
    kernel = np.exp(steepness * (photos @ photos.T - 1))
    kernel[np.diag_indices_from(kernel)] += RIDGE
    weights = np.linalg.solve(kernel, np.exp(steepness * (photos @ query - 1)))
    return np.bincount(products, weights, count).astype(np.float32)
