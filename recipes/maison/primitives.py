"""Signed distance functions of simple bodies and outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from recipes.maison.arrays import Array, Sdf, Vec, length, vec
from recipes.maison.operators import union


def rounded(first: Array, second: Array, edge: float = 0.0) -> Array:
    """Intersect two distances at right angles, with a corner of radius `edge`."""
    first, second = first + edge, second + edge
    outside = length(np.maximum(first, 0.0), np.maximum(second, 0.0))
    inside: Array = np.minimum(np.maximum(first, second), 0.0)
    return outside + inside - np.float32(edge)


def sphere(radius: float) -> Sdf:
    """Ball around the origin."""
    return lambda p: length(*p) - radius


def box(half: Vec, edge: float = 0.03) -> Sdf:
    """Box with the given half sizes (rounding included) and edge radius."""
    inner = vec([h - edge for h in half])

    def distance(p: Array) -> Array:
        q = np.abs(p) - inner
        out = np.maximum(q, 0.0)
        inside: Array = np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0.0)
        return length(*out) + inside - edge

    return distance


def capsule(start: Vec, end: Vec, radius: float) -> Sdf:
    """Round bar between two points."""
    a, ba = vec(start), vec(end) - vec(start)
    length2 = float((ba * ba).sum())

    def distance(p: Array) -> Array:
        pa = p - a
        gap = pa - ba * np.clip((pa * ba).sum(axis=0) / length2, 0.0, 1.0)
        return length(*gap) - radius

    return distance


def path(points: Sequence[Vec], radius: float) -> Sdf:
    """Round cord through several points."""
    return union(*[capsule(a, b, radius) for a, b in pairwise(points)])


def ring(radius: float, tube: float) -> Sdf:
    """Torus around the z axis."""
    return lambda p: length(length(p[0], p[1]) - radius, p[2]) - tube


def disc(radius: float, half: float, edge: float = 0.02) -> Sdf:
    """Solid cylinder along the z axis with rounded rims."""
    return lambda p: rounded(length(p[0], p[1]) - radius, np.abs(p[2]) - half, edge)


def arch_frame(p: Array, radius: float, flat: float) -> tuple[Array, Array]:
    """Coordinates of an upside-down U in the xy plane, legs starting at y = 0.

    Returns arc length from the crown and offset from the curve, both (N,). `flat` is half the
    length of a straight crown between the two quarter circles.
    """
    x = np.abs(p[0])
    over = np.maximum(x - flat, 0.0)
    up = np.maximum(p[1], 0.0)
    along = np.minimum(x, flat) + radius * np.arctan2(over, up + 1e-6) + np.maximum(-p[1], 0.0)
    return along, length(over, up) - radius


def arch(
    radius: float, legs: float, section: tuple[float, float], edge: float, flat: float = 0.0
) -> Sdf:
    """Handle shaped like an upside-down U; `section` = half thickness and half width (z)."""

    def distance(p: Array) -> Array:
        _, offset = arch_frame(p, radius, flat)
        beyond = np.maximum(-legs - p[1], 0.0)
        across = rounded(np.abs(offset) - np.float32(section[0]), np.abs(p[2]) - section[1], edge)
        outside = length(np.maximum(across + edge, 0.0), beyond)
        inside: Array = np.minimum(across + edge, 0.0)
        return outside + inside - edge

    return distance


def chain(radius: float, legs: float, link: tuple[float, float], flat: float = 0.0) -> Sdf:
    """Chain along an arch; `link` = half length of one link and thickness of its wire."""
    half, wire = link
    bend = half * 0.52
    pitch = np.float32(2.0 * (2.0 * half - 1.6 * wire))
    count = math.ceil((flat + radius * math.pi / 2 + legs) / pitch)

    def oval(along: Array, across: Array, other: Array) -> Array:
        q = np.maximum(np.abs(along) - (half - bend), 0.0)
        return length(length(q, across) - (bend - wire), other) - wire

    def distance(p: Array) -> Array:
        along, offset = arch_frame(p, radius, flat)
        nth: Array = np.minimum(np.round(along / pitch), count)
        between: Array = np.minimum(np.floor(along / pitch), count - 1) + np.float32(0.5)
        even, odd = along - pitch * nth, along - pitch * between
        nearest: Array = np.minimum(oval(even, offset, p[2]), oval(odd, p[2], offset))
        return nearest

    return distance


def band(flat: float, radius: float, half: float, thick: float) -> Sdf:
    """Closed strap standing upright: a stadium in the xz plane, `half` its half height (y)."""

    def distance(p: Array) -> Array:
        wall = np.abs(length(np.maximum(np.abs(p[0]) - flat, 0.0), p[2]) - radius) - thick
        return rounded(wall, np.abs(p[1]) - half)

    return distance


def polygon(corners: Sequence[tuple[float, float]]) -> Sdf:
    """Exact 2-D distance to a polygon in the xy plane (z is ignored)."""
    points = [np.array(c, dtype=np.float32) for c in corners]

    def distance(p: Array) -> Array:
        best = np.full(p.shape[1], np.inf, dtype=np.float32)
        sign = np.ones(p.shape[1], dtype=np.float32)
        for a, b in zip(points, points[-1:] + points[:-1], strict=True):
            e = b - a
            wx, wy = p[0] - a[0], p[1] - a[1]
            t = np.clip((wx * e[0] + wy * e[1]) / (e @ e), 0.0, 1.0)
            best = np.minimum(best, (wx - e[0] * t) ** 2 + (wy - e[1] * t) ** 2)
            above, below, left = p[1] >= a[1], p[1] < b[1], e[0] * wy > e[1] * wx
            flip = (above & below & left) | ~(above | below | left)
            sign = np.where(flip, -sign, sign)
        return sign * np.sqrt(best)

    return distance


def slab(half: tuple[float, float], corners: tuple[float, float]) -> Sdf:
    """2-D rectangle around the origin; `corners` = radii of the upper and lower corners."""

    def distance(p: Array) -> Array:
        r = np.where(p[1] > 0, np.float32(corners[0]), np.float32(corners[1]))
        return rounded(np.abs(p[0]) - half[0] + r, np.abs(p[1]) - half[1] + r) - r

    return distance


def extrude(outline: Sdf, half: float, edge: float = 0.03) -> Sdf:
    """Give a 2-D outline the thickness 2 * half along z, with edges of radius `edge`."""
    return lambda p: rounded(outline(p), np.abs(p[2]) - half, edge)
