"""Exact nearest-neighbour search by inner product."""

from __future__ import annotations

from typing import Final

import numpy as np

from satchel.arrays import Bools, Floats, Ints

SCORES_AT_ONCE: Final = 16_000_000
"""Inner products held in memory: 64 MB."""


def nearest_rows(
    queries: Floats, vectors: Floats, k: int, *, among: Bools | None = None
) -> tuple[Floats, Ints]:
    """Find the `k` rows of `vectors` with the largest inner product with each query.

    Args:
        queries: shape (q, d), float32.
        vectors: shape (n, d), float32.
        k: how many; at most n are returned.
        among: shape (n,), the rows that may be returned; None for all. The others cost their inner
            products, but no copy of the rows that remain.

    Returns:
        inner products, shape (q, k'), descending; and rows, shape (q, k'), int64. Of equal inner
        products the lower row comes first.
    """
    n = len(vectors)
    k = min(k, n if among is None else int(among.sum()))
    scores = np.zeros((len(queries), k), np.float32)
    rows = np.zeros((len(queries), k), np.int64)
    chunk = max(1, SCORES_AT_ONCE // max(1, n))
    for start in range(0, len(queries) if k else 0, chunk):
        products = queries[start : start + chunk] @ vectors.T
        if among is not None:
            products[:, ~among] = -np.inf
        for i, row in enumerate(products, start):
            top = np.sort(np.argpartition(row, n - k)[n - k :]) if k < n else np.arange(n)
            order = np.argsort(-row[top], kind="stable")
            rows[i] = top[order]
            scores[i] = row[rows[i]]
    return scores, rows
