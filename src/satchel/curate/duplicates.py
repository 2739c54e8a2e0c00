"""Copies of photos: candidate pairs by embedding, and groups of confirmed pairs.

Candidates come from two searches: perceptual hashes that differ in few bits
(`satchel.curate.hash_pairs`: recompressed, resized), and near embeddings (`duplicate_candidates`:
cropped, mirrored, framed). `satchel.curate.geometry` confirms them; confirmed pairs become groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from satchel.arrays import Floats, Ints
from satchel.nearest import nearest_rows


def duplicate_candidates(vectors: Floats, k: int, min_cosine: float, *, chunk: int = 1024) -> Ints:
    """Pair each photo with its nearest others by embedding.

    Args:
        vectors: shape (n, d), float32, each of length 1.
        k: how many neighbours of each photo are taken, at most.
        min_cosine: in [-1, 1]; neighbours further off are left out.
        chunk: queries searched at a time, which bounds the memory.

    Returns:
        pairs, shape (m, 2), int64, rows i < j, each once, in ascending order.
    """
    n = len(vectors)
    pairs = np.zeros(0, np.int64)
    gallery = np.ascontiguousarray(vectors)
    for start in range(0, n, chunk):
        cosines, rows = nearest_rows(gallery[start : start + chunk], gallery, k + 1)
        own = np.broadcast_to(np.arange(start, start + len(rows))[:, None], rows.shape)
        near = (cosines >= min_cosine) & (rows != own)
        codes = np.minimum(rows, own)[near] * n + np.maximum(rows, own)[near]
        pairs = np.union1d(pairs, codes)
    return np.stack(np.divmod(pairs, max(1, n)), axis=1)


@dataclass(frozen=True, slots=True)
class Groups:
    """Photos by group of copies.

    Attributes:
        labels: shape (n,), int64: for each photo, the lowest row of its group.
    """

    labels: Ints

    @classmethod
    def connected(cls, n: int, pairs: Ints) -> Groups:
        """Group `n` photos by confirmed pairs, shape (m, 2), int64."""
        return cls(join(np.arange(n), pairs[:, 0], pairs[:, 1]))

    def members(self) -> list[Ints]:
        """Return the rows of every group of two or more; ascending, int64."""
        order = np.argsort(self.labels, kind="stable")
        starts = np.flatnonzero(np.diff(self.labels[order])) + 1
        return [rows for rows in np.split(order, starts) if len(rows) > 1]


def join(labels: Ints, a: Ints, b: Ints) -> Ints:
    """Merge the groups of rows `a` with those of rows `b`.

    Args:
        labels: shape (n,), int64: the lowest row of each row's group.
        a, b: shape (m,), int64.

    Returns:
        new labels, as `labels`.
    """
    labels = labels.copy()
    while len(a):
        low, high = np.minimum(labels[a], labels[b]), np.maximum(labels[a], labels[b])
        apart = low < high
        a, b = a[apart], b[apart]
        np.minimum.at(labels, high[apart], low[apart])
        while (labels != (higher := labels[labels])).any():
            labels = higher
    return labels
