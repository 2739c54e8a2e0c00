"""A small numpy sphere tracer: signed distance shapes, materials, light and camera.

Conventions used everywhere in this folder:

* points and directions are float32 arrays of shape (3, N), rows x (right), y (up), z (towards
  the viewer of a front picture); lengths are in decimetres;
* a shape is a function from points (3, N) to signed distances (N,), negative inside;
* colours are linear RGB, shape (3,) or (3, N).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vec = tuple[float, float, float]
Sdf = Callable[[Array], Array]
Paint = Callable[[Array, Array], Array]

CHUNK = 16_384
"""Rays handled at once: the temporaries of one distance call then stay in the CPU cache."""

FAR = 40.0
"""Distance in decimetres after which a ray is given up."""


def vec(values: Sequence[float]) -> Array:
    """Return a column vector (3, 1) that broadcasts over points."""
    return np.array(values, dtype=np.float32).reshape(3, 1)


def unit(v: Array) -> Array:
    """Scale columns of (3, N) to length one."""
    norm: Array = np.maximum(length(*v), 1e-9)
    return v / norm


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t: Array = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def linear(colour: str) -> Array:
    """Turn an sRGB colour "#rrggbb" into a linear column (3, 1)."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    value = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return value.astype(np.float32).reshape(3, 1)


# ---------------------------------------------------------------------------- noise


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


# ---------------------------------------------------------------------------- shapes


def length(*rows: Array) -> Array:
    """Euclidean length (N,) of vectors given by their rows."""
    total: Array = np.sqrt(sum((row * row for row in rows[1:]), rows[0] * rows[0]))
    return total


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


# ---------------------------------------------------------------------------- materials


@dataclass(frozen=True)
class Material:
    """How a surface answers light.

    `paint` gives the albedo from local points and normals, `bump` a height field in decimetres
    that bends the normal, `specular` the reflectance at normal incidence, `gloss` the
    Blinn-Phong exponent, `mirror` how much of the surroundings shows, `metal` drops the
    diffuse part and tints the reflection.
    """

    paint: Paint
    bump: Sdf | None = None
    specular: float = 0.04
    gloss: float = 40.0
    mirror: float = 0.35
    metal: bool = False


def plain(colour: str) -> Paint:
    """One colour everywhere."""
    value = linear(colour)
    return lambda p, n: np.broadcast_to(value, p.shape)


def leather(
    colour: str, grain: float = 26.0, depth: float = 0.005, gloss: float = 28.0
) -> Material:
    """Grained leather: `grain` pebbles per decimetre, `depth` their height."""
    value = linear(colour)

    def paint(p: Array, n: Array) -> Array:
        return value * (0.86 + 0.28 * noise(p, 2.3))

    def bump(p: Array) -> Array:
        return -depth * cells(p, grain) ** 2 + 0.006 * noise(p, 3.1)

    return Material(paint, bump, gloss=gloss)


def metal(colour: str) -> Material:
    """Polished hardware."""
    return Material(plain(colour), specular=0.9, gloss=160.0, mirror=1.0, metal=True)


def over(base: Material, mask: Callable[[Array, Array], Array], colour: str) -> Material:
    """Cover `base` with a colour where `mask` (N,) is one."""
    value = linear(colour)

    def paint(p: Array, n: Array) -> Array:
        m = mask(p, n)
        return base.paint(p, n) * (1 - m) + value * m

    return Material(paint, base.bump, base.specular, base.gloss, base.mirror, base.metal)


def stitched(base: Material, line: Sdf, thread: str, pitch: float = 0.085) -> Material:
    """Sew a dashed thread where the function `line` is zero (it must have unit slope)."""

    def mask(p: Array, n: Array) -> Array:
        dash = np.mod((p[0] + p[1] + p[2]) / pitch, 1.0) < 0.66
        sewn: Mask = (np.abs(line(p)) < 0.011) & dash
        return sewn.astype(np.float32)

    return over(base, mask, thread)


@lru_cache(maxsize=8)
def _lettering(text: str) -> Array:
    """Bitmap of spaced capitals, values 0..1, shape (64, width)."""
    spaced = " ".join(text)
    (width, _), _ = cv2.getTextSize(spaced, cv2.FONT_HERSHEY_TRIPLEX, 1.5, 3)
    page = np.zeros((64, width + 8), dtype=np.uint8)
    where = (4, 50)
    cv2.putText(page, spaced, where, cv2.FONT_HERSHEY_TRIPLEX, 1.5, 255, 3, cv2.LINE_AA)
    return page.astype(np.float32) / np.float32(255)


def stamped(
    base: Material, centre: tuple[float, float], width: float, colour: str, text: str = "ORVANE"
) -> Material:
    """Stamp the house name on the side that faces +z; `centre` and `width` in decimetres."""
    page = _lettering(text)
    rows, columns = page.shape

    def mask(p: Array, n: Array) -> Array:
        u = ((p[0] - centre[0]) / width + 0.5) * columns
        v = rows / 2 - (p[1] - centre[1]) / width * columns
        inside = (u >= 0) & (u < columns - 1) & (v >= 0) & (v < rows - 1) & (n[2] > 0.4)
        m = np.zeros(p.shape[1], dtype=np.float32)
        m[inside] = page[v[inside].astype(np.int32), u[inside].astype(np.int32)]
        return m

    return over(base, mask, colour)


# ---------------------------------------------------------------------------- scene


@dataclass(frozen=True)
class Pose:
    """Rigid motion from a model's own frame to the world."""

    matrix: Array = field(default_factory=lambda: np.eye(3, dtype=np.float32))
    offset: Vec = (0.0, 0.0, 0.0)

    def to_local(self, p: Array) -> Array:
        """Bring world points (3, N) into the model's frame."""
        return self.matrix.T @ (p - vec(self.offset))


@dataclass(frozen=True)
class Part:
    """One piece of a model. `safety` < 1 shortens steps where the shape bends distances."""

    shape: Sdf
    material: Material
    safety: float = 1.0


class Placed:
    """A part in the world, with a bounding box found by sampling its distances."""

    def __init__(self, part: Part, pose: Pose) -> None:
        """Sample the part on a coarse grid to bound it."""
        self.part = part
        self.pose = pose
        self.is_identity = bool(np.array_equal(pose.matrix, np.eye(3))) and not any(pose.offset)
        axis = np.linspace(-4.5, 4.5, 37, dtype=np.float32)
        grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
        margin = float(axis[1] - axis[0])
        close = part.shape(grid) * part.safety < margin * 0.9
        low, high = grid[:, close].min(axis=1), grid[:, close].max(axis=1)
        self.centre = ((low + high) / 2).reshape(3, 1)
        self.half = ((high - low) / 2).reshape(3, 1)

    def local(self, p: Array) -> Array:
        """World points in the part's frame."""
        return p if self.is_identity else self.pose.to_local(p)

    def improve(self, p: Array, best: Array, rough: bool = False) -> Mask:
        """Lower `best` (N,) in place where this part is nearer; return where it was.

        Points farther from the bounding box than their present best are not evaluated. With
        `rough`, points well outside the box get the distance to the box instead: a lower bound,
        so a safe step for a ray, at a fraction of the cost.
        """
        q = self.local(p)
        gap = np.maximum(np.abs(q - self.centre) - self.half, 0.0)
        bound = length(*gap)
        near = bound < best
        changed = near & (bound > 0.3) if rough else np.zeros_like(near)
        best[changed] = bound[changed]
        index = np.flatnonzero(near & ~changed)
        if index.size:
            d = self.part.shape(q[:, index]) * self.part.safety
            won = d < best[index]
            best[index[won]] = d[won]
            changed[index[won]] = True
        return changed


class Scene:
    """Everything that can be hit, except the floor."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        """Keep the parts; order matters only for speed (big ones first)."""
        self.placed = list(placed)

    def distance(self, p: Array, rough: bool = False) -> Array:
        """Distance (N,) to the nearest part, at most `FAR`; a lower bound if `rough`."""
        best = np.full(p.shape[1], FAR, dtype=np.float32)
        for item in self.placed:
            item.improve(p, best, rough)
        return best

    def owner(self, p: Array) -> NDArray[np.int32]:
        """Index (N,) of the nearest part."""
        best = np.full(p.shape[1], FAR, dtype=np.float32)
        who = np.zeros(p.shape[1], dtype=np.int32)
        for number, item in enumerate(self.placed):
            who[item.improve(p, best)] = number
        return who


@dataclass(frozen=True)
class Setting:
    """Where a picture is taken: the floor at y = 0 and the light above it."""

    floor: Paint
    floor_bump: Sdf | None = None
    key: Vec = (-0.45, 0.85, 0.55)
    key_colour: Vec = (1.45, 1.45, 1.45)
    sky_colour: Vec = (0.62, 0.63, 0.65)
    softness: float = 5.0


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


# ---------------------------------------------------------------------------- light


def surroundings(ways: Array, blur: float) -> Array:
    """Brightness (N,) of an imaginary studio: dark room, white floor, three soft boxes."""
    x, y, z = ways
    value = 0.10 + 0.65 * smoothstep(0.05, 0.5 + blur, -y) + 0.35 * smoothstep(-0.1, 0.9, y)
    left = smoothstep(0.25 - blur, 0.45 + blur, -x) * smoothstep(-0.1 - blur, 0.15 + blur, y)
    right = smoothstep(0.60 - blur, 0.75 + blur, x) * smoothstep(-0.2 - blur, 0.0 + blur, y)
    front = smoothstep(0.8 - blur, 0.9 + blur, z) * smoothstep(0.05 - blur, 0.2 + blur, y)
    total: Array = value + 1.5 * left + 0.9 * right + 0.5 * front
    return total


def shadow(scene: Scene, p: Array, light: Array, softness: float) -> Array:
    """Share (N,) of the key light that reaches each point; small `softness` = large lamp."""
    lit = np.ones(p.shape[1], dtype=np.float32)
    t = np.full(p.shape[1], 0.04, dtype=np.float32)
    active = np.arange(p.shape[1])
    for _ in range(26):
        d = scene.distance(p[:, active] + light * t[active])
        lit[active] = np.minimum(lit[active], np.maximum(softness * d / t[active], 0.0))
        t[active] += np.clip(d, 0.05, 0.6)
        active = active[(lit[active] > 0.01) & (t[active] < 6.5)]
        if not active.size:
            break
    return lit * lit * (3.0 - 2.0 * lit)


def openness(scene: Scene, p: Array, n: Array, reach: float, floor: bool) -> Array:
    """Ambient occlusion (N,): 1 in the open, towards 0 in folds; `floor` adds the ground."""
    closed = np.zeros(p.shape[1], dtype=np.float32)
    weight = 1.0
    for step in (0.08, 0.22, 0.5, 1.0):
        height = reach * step
        q = p + n * height
        d = scene.distance(q)
        if floor:
            d = np.minimum(d, np.maximum(q[1], 0.0))
        closed += weight * np.maximum(height - d, 0.0) / height
        weight *= 0.75
    share: Array = np.clip(1.0 - closed / 2.4, 0.0, 1.0)
    return share


def gradient(function: Sdf, p: Array, step: float) -> Array:
    """Central tetrahedron gradient (3, N) of a scalar function."""
    total = np.zeros_like(p)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        e = vec(corner)
        total += e * function(p + e * step)
    return total / (4.0 * step)


def bend(n: Array, bump: Sdf, p: Array, step: float = 0.006) -> Array:
    """Tilt normals by the slope of a height field."""
    slope = gradient(bump, p, step)
    return unit(n - (slope - n * (slope * n).sum(axis=0)))


def shade(scene: Scene, item: Placed, setting: Setting, p: Array, ways: Array) -> Array:
    """Linear colour (3, N) of points `p` on one part, seen along `ways`."""
    q = item.local(p)
    material = item.part.material
    flat = unit(gradient(item.part.shape, q, 0.004))
    n = flat if material.bump is None else bend(flat, material.bump, q)
    albedo = material.paint(q, flat)
    if not item.is_identity:
        n, flat = item.pose.matrix @ n, item.pose.matrix @ flat
    light = unit(vec(setting.key))
    start = p + flat * 0.03
    open_share = openness(scene, start, flat, 0.6, floor=True)
    key = vec(setting.key_colour) * shadow(scene, start, light, setting.softness * 1.6)
    sky = vec(setting.sky_colour)
    facing = np.maximum((n * light).sum(axis=0), 0.0)
    fill = 0.25 * np.maximum((n * unit(vec((0.8, 0.25, 0.55)))).sum(axis=0), 0.0)
    diffuse = key * facing + sky * (0.62 + 0.38 * n[1] + fill) * open_share
    cosine = np.maximum(-(n * ways).sum(axis=0), 0.0)
    fresnel = material.specular + (1 - material.specular) * (1 - cosine) ** 5
    reflected = ways + 2 * cosine * n
    blur = 0.02 if material.mirror > 0.8 else 0.35
    seen = surroundings(reflected, blur) * fresnel * material.mirror * (0.35 + 0.65 * open_share)
    half = unit(light - ways)
    gleam = np.maximum((n * half).sum(axis=0), 0.0) ** material.gloss
    glint = key * facing * gleam * material.specular * (material.gloss + 8) / 25
    if material.metal:
        return np.asarray(albedo * (1.15 * seen * sky + 0.5 * glint + 0.12 * diffuse))
    return np.asarray(albedo * diffuse + seen * sky + glint)


def shade_floor(scene: Scene, setting: Setting, p: Array) -> Array:
    """Linear colour (3, N) of floor points: soft shadow and contact shadow of the scene."""
    up = np.zeros_like(p)
    up[1] = 1.0
    n = up if setting.floor_bump is None else bend(up, setting.floor_bump, p, 0.01)
    light = unit(vec(setting.key))
    lit = np.ones(p.shape[1], dtype=np.float32)
    open_share = np.ones(p.shape[1], dtype=np.float32)
    near = np.flatnonzero(length(p[0], p[2]) < 8.0)
    lifted = p[:, near] + vec((0, 0.01, 0))
    lit[near] = 0.06 + 0.94 * shadow(scene, lifted, light, setting.softness)
    open_share[near] = 0.3 + 0.7 * openness(scene, lifted, up[:, near], 0.9, floor=False)
    key = vec(setting.key_colour) * lit * np.maximum((n * light).sum(axis=0), 0.0)
    colour: Array = setting.floor(p, n) * (key + vec(setting.sky_colour) * open_share)
    return colour


def tone(colour: Array) -> Array:
    """Filmic curve (Narkowicz's fit of ACES), then sRGB; returns values in 0..1."""
    colour = colour * np.float32(0.68)
    film = colour * (2.51 * colour + 0.03) / (colour * (2.43 * colour + 0.59) + 0.14)
    film = np.clip(film, 0.0, 1.0)
    return np.where(film <= 0.0031308, film * 12.92, 1.055 * film ** (1 / 2.4) - 0.055)


def _fill(scene: Scene, setting: Setting, eye: Array, hit: Array, ways: Array) -> Array:
    """Colours (3, N) of all pixels whose ray hits a part; zero elsewhere."""
    out = np.zeros((3, hit.size), dtype=np.float32)
    found = np.flatnonzero(np.isfinite(hit))
    for index in np.array_split(found, max(1, math.ceil(found.size / CHUNK))):
        p = eye + ways[:, index] * hit[index]
        who = scene.owner(p)
        for number in np.unique(who):
            mine = who == number
            out[:, index[mine]] = shade(
                scene, scene.placed[number], setting, p[:, mine], ways[:, index[mine]]
            )
    return out


def _ground(
    scene: Scene, setting: Setting, eye: Array, *, basis: Array, window: Vec, size: int
) -> Array:
    """Colours (3, size * size) of the floor alone; rays above the horizon see it far away."""
    ways = rays(basis, window, (size, size))
    slope = np.minimum(ways[1], -0.02)
    p = eye + ways * (-eye[1] / slope)
    p[1] = 0.0
    return np.hstack(
        [
            shade_floor(scene, setting, part)
            for part in np.array_split(p, math.ceil(p.shape[1] / CHUNK), axis=1)
        ]
    )


def render(
    scene: Scene, setting: Setting, camera: Camera, window: Vec, *, size: int, samples: int
) -> Array:
    """Return a display-ready picture (size, size, 3) in 0..1.

    The model is traced with `samples` x `samples` rays per pixel; the floor, whose shadows are
    soft, with one.
    """
    eye, basis = camera.axes()
    fine = size * samples
    hit, ways = cast(scene, eye, basis, window, fine)
    model = tone(_fill(scene, setting, eye, hit, ways)).reshape(3, fine, fine)
    cover = np.isfinite(hit).astype(np.float32).reshape(1, fine, fine)
    layers = np.concatenate([model * cover, cover])
    layers = layers.reshape(4, size, samples, size, samples).mean(axis=(2, 4))
    ground = tone(_ground(scene, setting, eye, basis=basis, window=window, size=size)).reshape(
        3, size, size
    )
    picture = layers[:3] + ground * (1.0 - layers[3])
    return np.ascontiguousarray(picture.transpose(1, 2, 0)).astype(np.float32)
