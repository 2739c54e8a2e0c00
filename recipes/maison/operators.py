"""Operators on signed distance functions: join, cut, move, mirror, deform."""

from __future__ import annotations

import math

import numpy as np

from recipes.maison.arrays import Array, Sdf, Vec, vec


def union(*shapes: Sdf) -> Sdf:
    """Join shapes."""

    def distance(p: Array) -> Array:
        best = shapes[0](p)
        for shape in shapes[1:]:
            best = np.minimum(best, shape(p))
        return best

    return distance


def blend(a: Array, b: Array, k: float) -> Array:
    """Smooth minimum of two distances with blend width `k`."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    joined: Array = np.minimum(a, b) - h * h * (k / 4)
    return joined


def carve(a: Sdf, b: Sdf, k: float = 0.02) -> Sdf:
    """Take `b` out of `a`, with a rim of width `k`."""
    return lambda p: -blend(-a(p), b(p), k)


def both(a: Sdf, b: Sdf, k: float = 0.02) -> Sdf:
    """Keep what lies in both shapes, with a rim of width `k`."""
    return lambda p: -blend(-a(p), -b(p), k)


def grow(shape: Sdf, amount: float) -> Sdf:
    """Offset the surface outwards."""
    return lambda p: shape(p) - amount


def move(shape: Sdf, offset: Vec) -> Sdf:
    """Translate a shape."""
    o = vec(offset)
    return lambda p: shape(p - o)


def rotation(axis: str, degrees: float) -> Array:
    """Right-handed rotation matrix (3, 3) about a coordinate axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    m = np.eye(3, dtype=np.float32)
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m


def turn(shape: Sdf, axis: str, degrees: float) -> Sdf:
    """Rotate a shape about an axis through the origin."""
    back = np.ascontiguousarray(rotation(axis, degrees).T)
    return lambda p: shape(back @ p)


def mirror(shape: Sdf, axis: int = 0) -> Sdf:
    """Repeat a shape built on the positive side of an axis on the other side."""

    def distance(p: Array) -> Array:
        q = p.copy()
        q[axis] = np.abs(q[axis])
        return shape(q)

    return distance


def taper(shape: Sdf, rate: tuple[float, float]) -> Sdf:
    """Widen x and z with height: both are multiplied by 1 + rate * y."""

    def distance(p: Array) -> Array:
        y = np.clip(p[1], 0.0, 4.0)
        return shape(np.stack([p[0] / (1 + rate[0] * y), p[1], p[2] / (1 + rate[1] * y)]))

    return distance
