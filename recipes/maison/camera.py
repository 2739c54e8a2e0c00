"""The camera: rays through pixels, and sphere tracing to where they hit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from recipes.maison.arrays import Array, Vec, unit, vec
from recipes.maison.operators import rotation
from recipes.maison.scene import FAR, Scene

CHUNK = 16_384
"""Rays handled at once: the temporaries of one distance call then stay in the CPU cache."""


@dataclass(frozen=True)
class Camera:
    """Pinhole camera that looks at `target` from `distance` decimetres; angles in degrees."""

    yaw: float
    pitch: float
    roll: float = 0.0
    distance: float = 11.0
    target: Vec = (0.0, 1.3, 0.0)

    def axes(self) -> tuple[Array, Array]:
        """Return the eye (3, 1) and the matrix (3, 3) with columns right, up and forward."""
        back = rotation("y", self.yaw) @ rotation("x", -self.pitch) @ vec((0, 0, 1))
        eye = (vec(self.target) + self.distance * back).astype(np.float32)
        right = unit(np.cross(vec((0, 1, 0)), back, axis=0).astype(np.float32))
        up = np.cross(back, right, axis=0)
        basis = np.hstack([right, up, -back])
        return eye, (basis @ rotation("z", self.roll)).astype(np.float32)


def rays(basis: Array, window: Vec, shape: tuple[int, int]) -> Array:
    """Directions (3, rows * columns) through a window of the plane one unit ahead.

    `window` is centre u, centre v and half width.
    """
    rows, columns = shape
    u0, v0, half = window
    u = u0 + half * ((np.arange(columns) + 0.5) / columns * 2 - 1)
    v = v0 - half * (rows / columns) * ((np.arange(rows) + 0.5) / rows * 2 - 1)
    uu, vv = np.meshgrid(u, v)
    plane = np.stack([uu, vv, np.ones_like(uu)]).reshape(3, -1).astype(np.float32)
    return unit(basis @ plane)


def march(scene: Scene, eye: Array, ways: Array, start: Array, spread: float) -> Array:
    """Walk rays until the surface is within `spread` * travelled length; inf where none is.

    With the `spread` of a pixel this finds the surface; with that of a block of pixels it finds
    a length at which every ray of the block may safely start.
    """
    t = start.copy()
    active = np.flatnonzero(np.isfinite(t))
    for _ in range(140):
        d = scene.distance(eye + ways[:, active] * t[active], rough=True)
        moving = d > spread * t[active]
        t[active[moving]] += d[moving]
        active = active[moving]
        gone = t[active] > FAR / 2
        t[active[gone]] = np.inf
        active = active[~gone]
        if not active.size:
            break
    return t


def cast(scene: Scene, eye: Array, basis: Array, window: Vec, size: int) -> tuple[Array, Array]:
    """Hit lengths (size * size,) and directions of all pixels, blocks of 8 first."""
    block = 8
    coarse_ways = rays(basis, window, (size // block, size // block))
    pixel = 2 * window[2] / size
    begin = np.full(coarse_ways.shape[1], 4.0, dtype=np.float32)
    coarse = march(scene, eye, coarse_ways, begin, pixel * block * 0.9) * (1 - 8 * pixel)
    grid = coarse.reshape(size // block, size // block)
    start = np.repeat(np.repeat(grid, block, axis=0), block, axis=1).reshape(-1)
    ways = rays(basis, window, (size, size))
    hit = np.full(size * size, np.inf, dtype=np.float32)
    todo = np.flatnonzero(np.isfinite(start))
    for index in np.array_split(todo, max(1, math.ceil(todo.size / CHUNK))):
        hit[index] = march(scene, eye, ways[:, index], start[index], pixel * 0.35)
    return hit, ways


def frame(scene: Scene, camera: Camera, margin: float) -> Vec:
    """Window that shows the whole scene with `margin` (share of the picture) on each side."""
    eye, basis = camera.axes()
    size, wide = 128, 0.6
    hit, _ = cast(scene, eye, basis, (0.0, 0.0, wide), size)
    rows, columns = np.nonzero(np.isfinite(hit.reshape(size, size)))
    step = 2 * wide / size
    left, right = columns.min() * step - wide, (columns.max() + 1) * step - wide
    top, bottom = wide - rows.min() * step, wide - (rows.max() + 1) * step
    half = max(right - left, top - bottom) / 2 / (1 - 2 * margin)
    return float(left + right) / 2, float(top + bottom) / 2, float(half)
