"""Selection of a product's best photos: of high quality, and of different views.

The photos nearest to a product's mean all show the same view. To identify an item from any side,
the selected photos have to cover all others: facility location.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from satchel.arrays import Doubles, Floats, Ints
from satchel.curate.rules import BEST_N


def best_n(
    vectors: Floats, quality: Doubles, n: int = BEST_N, *, chosen: Sequence[int] | Ints = ()
) -> Ints:
    """Choose photos that cover all of a product's photos, preferring those of high quality.

    Greedy facility location (Nemhauser, Wolsey and Fisher, "An analysis of approximations for
    maximizing submodular set functions", 1978), each photo's gain times its quality: a photo
    covers another by their cosine, and gains what no chosen photo covers better. k-center was
    the alternative; it starts with outliers, which here are the least reliable photos.
    A copy of a chosen photo gains nothing and comes last. Needs n_photos² × 8 bytes.

    Args:
        vectors: shape (n_photos, d), float32, each of length 1.
        quality: shape (n_photos,), in (0, 1].
        n: how many to choose; all of them where there are no more.
        chosen: photos that are chosen already; they count among the n, and cover others.

    Returns:
        Indices, shape (min(n, n_photos),), int64, in the order of choice, `chosen` first (and all
        of them, even where they are more than n). The chosen photos do
        not depend on the order in which the photos came.
    """
    order = _canonical_order(vectors, quality)
    weight = quality[order].astype(np.float64)
    rows = vectors[order].astype(np.float64)
    cosines = np.clip(rows @ rows.T, 0, 1)
    np.fill_diagonal(cosines, 1)
    covered = np.zeros(len(order))
    free = np.ones(len(order), bool)
    picked = [int(at) for at in np.flatnonzero(np.isin(order, chosen))]
    for at in picked:
        free[at] = False
        covered = np.maximum(covered, cosines[at])
    for _ in range(min(n, len(order)) - len(picked)):
        gain = weight * np.maximum(cosines - covered, 0).sum(1)
        # Gains that differ by rounding are equal; of equals, the first in the canonical order.
        best = int(np.argmax(np.where(free, np.round(gain, 6), -1)))
        picked.append(best)
        free[best] = False
        covered = np.maximum(covered, cosines[best])
    return order[picked].astype(np.int64)


def _canonical_order(vectors: Floats, quality: Doubles) -> Ints:
    """Return an order that does not depend on the input order: quality, then bytes."""
    order = sorted(range(len(quality)), key=lambda i: (-quality[i], vectors[i].tobytes()))
    return np.array(order, np.int64)
