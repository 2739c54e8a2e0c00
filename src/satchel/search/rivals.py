"""Rivals: whose pictures it takes to make up a photo, all candidates' pictures being there.

A product's score hangs on its own pictures alone. What sets it apart from its rivals, only the
pictures of all of them tell: what they share is no news, and of ten pictures that are alike nine
say nothing. So the candidates' nearest pictures are taken together, and the photo is put together
of them: a kernel ridge regression of a hundred pictures, solved anew for each photo. A product's
share is the sum of its pictures' weights, which is also what a regression on "is it this product"
answers for the photo.

Learning by the neighbours of what is asked is L. Bottou, V. Vapnik, "Local learning algorithms",
Neural Computation 4(6), 1992; classes by weights of all their pictures at once is L. Zhang,
M. Yang, X. Feng, "Sparse representation or collaborative representation: which helps face
recognition?", ICCV 2011, here in the space of an exponential kernel. Nothing is learned beforehand:
a new product is a rival as soon as it is indexed. Measured in docs/decisions/0020-re-ranking.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

STEEPNESS: Final = 10.0
"""Of the kernel exp(`STEEPNESS` × (cosine − 1)): how fast likeness falls."""

RIDGE: Final = 0.1
"""Added to each picture's likeness to itself, 1: how little a single picture is trusted."""


def shares_of(
    query: Floats, pictures: Floats, products: npt.NDArray[np.integer], count: int
) -> Floats:
    """How much of a photo each product's pictures make up, beside all others'.

    Args:
        query: shape (d,), of length 1.
        pictures: shape (m, d), of length 1.
        products: shape (m,), of each picture, in [0, count).

    Returns:
        shape (count,), float32; about 1 for a product whose picture this is, about 0 for one that
        adds nothing to the others, below 0 at times.
    """
    likeness = np.exp(STEEPNESS * (pictures @ pictures.T - 1))
    likeness[np.diag_indices_from(likeness)] += RIDGE
    weights = np.linalg.solve(likeness, np.exp(STEEPNESS * (pictures @ query - 1)))
    return np.bincount(products, weights, count).astype(np.float32)
