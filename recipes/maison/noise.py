"""Procedural noise: smooth values, and cells as of grained leather."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from recipes.maison.arrays import Array, Vec, vec


@lru_cache(maxsize=8)
def _lattice(kind: str, size: int, seed: int) -> Array:
    """Periodic cube of numbers in 0..1: "value" is white noise, "cells" a Worley pattern."""
    rng = np.random.default_rng(seed)
    if kind == "value":
        return rng.random((size, size, size), dtype=np.float32)
    cells = 12
    corners = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    seeds = (corners + rng.random(corners.shape)) * (size / cells)
    nearest = np.full((size, size, size), np.inf, dtype=np.float32)
    reach = int(1.6 * size / cells)
    for x, y, z in seeds:
        window = [np.arange(int(c) - reach, int(c) + reach + 1) for c in (x, y, z)]
        gaps = [(w - c) ** 2 for w, c in zip(window, (x, y, z), strict=True)]
        cube = gaps[0][:, None, None] + gaps[1][None, :, None] + gaps[2][None, None, :]
        index = np.ix_(*[w % size for w in window])
        nearest[index] = np.minimum(nearest[index], cube.astype(np.float32))
    return np.clip(np.sqrt(nearest) * (cells / size), 0.0, 1.0).astype(np.float32)


def _sample(lattice: Array, p: Array) -> Array:
    """Trilinear look-up of a periodic cube at p (3, N) in voxels; returns (N,)."""
    size = lattice.shape[0]
    base = np.floor(p)
    part = p - base
    low = base.astype(np.int32) % size
    high = (low + 1) % size
    flat = lattice.reshape(-1)
    x0, x1 = low[0] * (size * size), high[0] * (size * size)
    y0, y1 = low[1] * size, high[1] * size
    z0, z1 = low[2], high[2]
    fx, fy, fz = part
    a = flat[x0 + y0 + z0] * (1 - fz) + flat[x0 + y0 + z1] * fz
    b = flat[x0 + y1 + z0] * (1 - fz) + flat[x0 + y1 + z1] * fz
    c = flat[x1 + y0 + z0] * (1 - fz) + flat[x1 + y0 + z1] * fz
    d = flat[x1 + y1 + z0] * (1 - fz) + flat[x1 + y1 + z1] * fz
    near: Array = a * (1 - fy) + b * fy
    far: Array = c * (1 - fy) + d * fy
    value: Array = near * (1 - fx) + far * fx
    return value


def noise(p: Array, frequency: float | Vec, seed: int = 3) -> Array:
    """Smooth value noise in 0..1 with `frequency` lattice cells per decimetre."""
    scale = vec(frequency) if isinstance(frequency, tuple) else np.float32(frequency)
    return _sample(_lattice("value", 32, seed), p * scale)


def cells(p: Array, frequency: float, seed: int = 5) -> Array:
    """Distance to the nearest random grain in 0..1: the pebbles of grained leather."""
    return _sample(_lattice("cells", 60, seed), p * np.float32(5.0 * frequency))
