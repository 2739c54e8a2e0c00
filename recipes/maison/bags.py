"""The bags of Maison Orvane. Each stands on y = 0 and faces +z."""

from __future__ import annotations

import numpy as np

from recipes.maison.arrays import Array, Sdf, length, linear, smoothstep, vec
from recipes.maison.materials import BRASS, GOLD, Material, leather, stamped, stitched
from recipes.maison.noise import noise
from recipes.maison.operators import blend, both, carve, grow, mirror, move, taper, turn, union
from recipes.maison.primitives import (
    arch,
    box,
    capsule,
    chain,
    disc,
    extrude,
    path,
    polygon,
    ring,
    rounded,
    slab,
    sphere,
)
from recipes.maison.scene import Part


def lattice_canvas(ground: str, figure: str) -> Material:
    """Coated canvas with the house pattern: three-bladed pinwheels on a hexagonal grid."""
    base, ink = linear(ground), linear(figure)
    pitch = 0.36

    def paint(p: Array, n: Array) -> Array:
        side = np.abs(n[0]) > 0.75
        x = np.where(side, p[2], p[0]) / pitch
        y = p[1] / (pitch * 0.866)
        row = np.round(y)
        x = x - 0.5 * np.mod(row, 2.0)
        dx, dy = x - np.round(x), (y - row) * 0.866
        radius, angle = length(dx, dy), np.arctan2(dx, dy)
        blade = np.cos(3.0 * (angle + 4.5 * (radius - 0.2)))
        wheel = (blade > 0.1) & (radius > 0.07) & (radius < 0.31)
        dot = radius < 0.035
        rim = np.abs(radius - 0.40) < 0.022
        m = (wheel | dot | rim).astype(np.float32)
        weave = 0.92 + 0.12 * np.sin(p[0] * 160) * np.sin(p[1] * 160)
        colour: Array = (base * (1 - m) + ink * m) * weave
        return colour

    return Material(paint, lambda p: 0.004 * noise(p, 22.0), gloss=24.0)


def tote(ground: str, figure: str, trim: str) -> list[Part]:
    """Open tote in house canvas with leather base, rim and two tubular handles."""
    rate = (0.07, -0.06)
    body = taper(move(box((1.42, 1.2, 0.72), 0.09), (0, 1.2, 0)), rate)
    room = taper(move(box((1.36, 1.2, 0.66), 0.09), (0, 1.32, 0)), rate)
    inner = taper(move(box((1.32, 1.2, 0.62), 0.09), (0, 1.40, 0)), rate)
    shell = carve(body, room)
    lining = carve(both(room, grow(body, -0.02)), inner)
    skin = leather(trim)

    def slice_of(low: float, high: float, thick: float) -> Sdf:
        layer = move(box((3, (high - low) / 2, 3), 0.0), (0, (high + low) / 2, 0))
        return both(carve(grow(body, thick), room), layer, 0.03)

    rim = stitched(skin, lambda p: p[1] - 2.12, "#e9d3a4")
    rim = stitched(rim, lambda p: p[1] - 2.36, "#e9d3a4")
    handle = union(
        arch(0.62, 0.75, (0.065, 0.065), 0.06),
        *[move(box((0.13, 0.24, 0.035)), (s * 0.62, -0.78, 0)) for s in (-1, 1)],
    )
    rivets = mirror(move(disc(0.055, 0.03), (0.62, -0.88, 0.04)))

    def pair(shape: Sdf) -> Sdf:
        front = move(turn(shape, "x", -3), (0, 2.95, 0.69))
        return mirror(front, axis=2)

    tag = move(extrude(slab((0.14, 0.22), (0.05, 0.13)), 0.025), (0.62, 1.72, 0.75))
    return [
        Part(shell, lattice_canvas(ground, figure), 0.85),
        Part(lining, leather("#b9a284", depth=0.003), 0.85),
        Part(slice_of(2.06, 2.5, 0.02), stamped(rim, (0, 2.24), 0.9, GOLD), 0.85),
        Part(slice_of(-0.1, 0.42, 0.02), stitched(skin, lambda p: p[1] - 0.36, "#e9d3a4"), 0.85),
        Part(pair(handle), skin),
        Part(pair(rivets), BRASS),
        Part(tag, skin),
    ]


def flap_bag() -> list[Part]:
    """Burgundy flap bag with vertical channels, a chain strap and a bar clasp."""
    skin = leather("#4c1b22", grain=40.0, depth=0.002, gloss=40.0)

    def channels(p: Array, face: float) -> Array:
        wave = np.abs(np.cos(p[0] * (np.pi / 0.29)))
        height: Array = 0.05 * np.sqrt(wave + 0.01) * smoothstep(face - 0.12, face, np.abs(p[2]))
        return height

    body_box = move(box((1.32, 0.8, 0.36), 0.14), (0, 0.83, 0))
    flap_box = extrude(slab((1.34, 0.56), (0.12, 0.42)), 0.07, 0.05)
    flap_box = move(flap_box, (0, 1.13, 0.44))
    lid = move(box((1.34, 0.05, 0.42), 0.05), (0, 1.65, 0.08))
    edge = slab((1.34, 0.56), (0.12, 0.42))

    def body(p: Array) -> Array:
        return body_box(p) - channels(p, 0.33)

    def flap(p: Array) -> Array:
        return blend(flap_box(p) - channels(p, 0.46), lid(p), 0.05)

    seam = stitched(skin, lambda p: edge(p - vec((0, 1.13, 0))) + 0.07, "#b4606d")
    plate = extrude(slab((0.25, 0.15), (0.15, 0.15)), 0.05)
    clasp = union(
        carve(plate, extrude(slab((0.16, 0.065), (0.06, 0.06)), 0.2)),
        move(capsule((-0.21, 0, 0), (0.21, 0, 0), 0.04), (0, 0, 0.03)),
    )
    eyes = mirror(move(ring(0.09, 0.028), (1.1, 1.74, 0)))
    return [
        Part(body, skin, 0.6),
        Part(flap, seam, 0.6),
        Part(move(clasp, (0, 0.83, 0.58)), BRASS),
        Part(move(chain(1.1, 0.25, (0.125, 0.03)), (0, 2.1, 0)), BRASS, 0.9),
        Part(eyes, BRASS),
    ]


def bucket_bag() -> list[Part]:
    """Cognac bucket bag gathered by a drawstring, with a flat shoulder strap."""
    skin = leather("#80553a", grain=24.0)
    dark = leather("#40261a")

    def profile(p: Array, inset: float, lift: float = 0.0) -> Array:
        angle = np.arctan2(p[0], p[2])
        y = p[1]
        folds = 0.055 * np.cos(16 * angle) * smoothstep(1.25, 1.85, y)
        waist = 0.16 * np.exp(-(((y - 1.82) / 0.16) ** 2))
        radius = 0.92 + 0.06 * y - waist + folds - inset
        return rounded(length(p[0], p[2]) - radius, np.abs(y - 1.1 - lift) - 1.1, 0.06)

    def body(p: Array) -> Array:
        return -blend(-profile(p, 0.0), profile(p, 0.06, 0.2), 0.03)

    def collar(p: Array) -> Array:
        cut: Array = np.maximum(profile(p, -0.025), np.abs(p[1] - 0.2) - 0.32)
        return cut

    eyelets = union(
        *[
            move(turn(ring(0.06, 0.022), "y", a), (0.93 * np.sin(t), 1.82, 0.93 * np.cos(t)))
            for a in range(-168, 180, 45)
            for t in [float(np.radians(a))]
        ]
    )
    cord = turn(ring(0.9, 0.035), "x", 90)
    ties = union(
        path([(-0.02, 1.82, 0.95), (-0.10, 1.5, 1.04), (-0.14, 1.0, 1.06)], 0.035),
        path([(0.02, 1.82, 0.95), (0.09, 1.5, 1.04), (0.11, 1.12, 1.06)], 0.035),
    )
    toggles = union(
        capsule((-0.14, 1.0, 1.06), (-0.15, 0.78, 1.06), 0.075),
        capsule((0.11, 1.12, 1.06), (0.12, 0.90, 1.06), 0.075),
    )
    strap = move(arch(0.98, 0.55, (0.03, 0.13), 0.02), (0, 2.25, 0))
    edges = stitched(dark, lambda p: np.abs(p[2]) - 0.10, "#d9a15c")
    band_skin = stitched(dark, lambda p: p[1] - 0.46, "#d9a15c")
    rivets = mirror(move(turn(disc(0.06, 0.03), "y", 90), (1.03, 1.82, 0)))
    return [
        Part(body, skin, 0.7),
        Part(collar, stamped(band_skin, (0, 0.24), 0.75, GOLD), 0.7),
        Part(move(cord, (0, 1.82, 0)), dark),
        Part(ties, dark),
        Part(toggles, BRASS),
        Part(eyelets, BRASS),
        Part(strap, edges),
        Part(rivets, BRASS),
    ]


def doctor_bag() -> list[Part]:
    """Dark green doctor bag: gabled sides, brass frame, two short handles, two belts."""
    skin = leather("#24443a", grain=22.0, depth=0.006)
    dark = leather("#13291f")
    half = [(0.60, 0.32), (0.62, 0.90), (0.52, 1.25), (0.30, 1.55), (0.04, 1.70)]
    side = grow(polygon(half + [(-x, y) for x, y in reversed(half)]), 0.13)

    def prism(half: float, edge: float) -> Sdf:
        return turn(extrude(side, half, edge), "y", 90)

    body = prism(1.55, 0.12)
    belts = mirror(both(grow(body, 0.035), move(box((0.13, 3, 3), 0.0), (0.82, 0, 0)), 0.03))
    belt_skin = stitched(dark, lambda p: np.abs(np.abs(p[0]) - 0.82) - 0.095, "#c8b273")
    frame_bar = union(
        move(box((1.36, 0.055, 0.17), 0.04), (0, 1.84, 0)),
        mirror(move(sphere(0.075), (1.36, 1.84, 0))),
    )
    lock = union(
        move(box((0.2, 0.2, 0.05), 0.03), (0, 1.66, 0.33)),
        move(disc(0.07, 0.04), (0, 1.62, 0.4)),
        move(box((0.13, 0.05, 0.2), 0.03), (0, 1.86, 0.16)),
    )
    lock = turn(move(lock, (0, -1.66, -0.33)), "x", -28)
    handle = union(
        arch(0.4, 0.22, (0.07, 0.07), 0.065, flat=0.22),
        *[move(box((0.09, 0.2, 0.03)), (s * 0.62, -0.28, 0)) for s in (-1, 1)],
    )
    handles = mirror(move(turn(handle, "x", 4), (0, 2.1, 0.27)), axis=2)
    loops = mirror(mirror(move(ring(0.09, 0.025), (0.62, 1.68, 0.33))), axis=2)
    feet = mirror(mirror(move(sphere(0.09), (1.3, 0.17, 0.55))), axis=2)
    lowered = (0.0, -0.1, 0.0)
    return [
        Part(move(shape, lowered), material, safety)
        for shape, material, safety in [
            (body, stamped(skin, (0, 0.62), 0.8, GOLD), 1.0),
            (belts, belt_skin, 1.0),
            (frame_bar, BRASS, 1.0),
            (move(lock, (0, 1.66, 0.36)), BRASS, 1.0),
            (handles, dark, 1.0),
            (loops, BRASS, 1.0),
            (feet, BRASS, 1.0),
        ]
    ]


def hobo_bag() -> list[Part]:
    """Taupe crescent bag with a wide strap growing out of its horns."""
    skin = leather("#857466", grain=20.0, depth=0.005)

    def crescent(p: Array) -> Array:
        outer = length(p[0], (p[1] - 1.45) * 1.05) - 1.5
        bite = length(p[0] * 0.92, p[1] - 3.05) - 1.55
        return -blend(-outer, bite, 0.3)

    def body(p: Array) -> Array:
        thick = 0.50 - 0.13 * np.clip(p[1], 0.0, 2.6)
        flat = crescent(p) + 0.42
        folds = 0.05 * (noise(p, (1.6, 1.1, 1.6)) - 0.5)
        return length(np.maximum(flat, 0.0), p[2] * 0.42 / thick) - 0.42 + folds

    strap = move(arch(1.0, 0.35, (0.035, 0.17), 0.03, flat=0.26), (0, 2.42, 0))
    sewn = stitched(skin, lambda p: np.abs(p[2]) - 0.135, "#d8c6b4")
    seam = stitched(skin, lambda p: crescent(p) + 0.22, "#d8c6b4")
    rings = mirror(move(turn(ring(0.16, 0.035), "y", 90), (1.26, 1.98, 0)))
    tassel = union(
        path([(0.75, 1.62, 0.26), (0.72, 1.35, 0.46), (0.72, 1.15, 0.5)], 0.03),
        move(capsule((0, 0.1, 0), (0, 0.0, 0), 0.075), (0.72, 1.05, 0.5)),
    )

    def fringe(p: Array) -> Array:
        q = p - vec((0.72, 0.72, 0.5))
        angle = np.arctan2(q[0], q[2])
        radius = 0.10 - 0.12 * (q[1] - 0.1) + 0.015 * np.cos(10 * angle)
        side = length(q[0], q[2]) - radius * 0.8
        cut: Array = np.maximum(side, np.abs(q[1]) - 0.28)
        return cut

    return [
        Part(body, stamped(seam, (-0.2, 0.62), 0.7, GOLD), 0.6),
        Part(strap, sewn),
        Part(rings, BRASS),
        Part(tassel, BRASS),
        Part(fringe, skin, 0.7),
    ]
