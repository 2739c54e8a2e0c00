"""Distances of all pairs of vectors, in numpy: oracles for tests."""

from __future__ import annotations

import numpy as np


def euclidean(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Shapes (n, d) and (m, d) → (n, m)."""
    return np.linalg.norm(left[:, None].astype(np.float64) - right[None], axis=2)


def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """1 − cosine: shapes (n, d) and (m, d) → (n, m)."""
    lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=1)
    return 1 - left @ right.T / lengths


def mahalanobis(left: np.ndarray, right: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """√((x − y)ᵀ S⁻¹ (x − y)): shapes (n, d), (m, d) and (d, d) → (n, m)."""
    steps = left[:, None].astype(np.float64) - right[None]
    return np.sqrt(np.einsum("nmi,ij,nmj->nm", steps, np.linalg.inv(covariance), steps))
