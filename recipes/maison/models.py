"""The twelve models of Maison Orvane, built from signed distance shapes.

Every model stands on y = 0 and faces +z. The house, its names and its marks are invented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recipes.maison.raymarch import (
    Array,
    Mask,
    Material,
    Part,
    Sdf,
    arch,
    band,
    blend,
    both,
    box,
    capsule,
    carve,
    chain,
    disc,
    extrude,
    grow,
    leather,
    length,
    linear,
    metal,
    mirror,
    move,
    noise,
    path,
    plain,
    polygon,
    ring,
    rounded,
    slab,
    smoothstep,
    sphere,
    stamped,
    stitched,
    taper,
    turn,
    union,
    vec,
)

BRASS = metal("#d9b36a")
STEEL = metal("#d5d8dc")
GOLD = "#e2bf74"


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue. `tilt` is added to the pitch of every camera, in degrees."""

    code: str
    name: str
    category: str
    colour: str
    size: str
    build: Callable[[], list[Part]]
    tilt: float = 0.0


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


def belt_bag() -> list[Part]:
    """Cobalt half-moon belt bag with a zipped pocket on a webbing belt."""
    skin = leather("#21407f", grain=30.0, depth=0.003)
    webbing = Material(plain("#15171c"), lambda p: 0.01 * np.sin(p[1] * 110), gloss=12.0)
    teeth = Material(
        lambda p, n: np.where(np.mod(p[0] * 22, 1.0) < 0.55, linear(GOLD), linear("#3a3020")),
        specular=0.5,
        mirror=0.8,
    )
    outline = slab((1.25, 0.68), (0.16, 0.62))
    pocket_line = slab((0.92, 0.40), (0.08, 0.36))
    body = move(extrude(outline, 0.36, 0.22), (0, 0.7, 0))
    pocket = move(extrude(pocket_line, 0.16, 0.09), (0, 0.52, 0.38))
    seam = stitched(skin, lambda p: outline(p - vec((0, 0.7, 0))) + 0.15, "#8fb0f0")
    pocket_seam = stitched(skin, lambda p: pocket_line(p - vec((0, 0.52, 0))) + 0.12, "#8fb0f0")
    zips = union(
        move(box((0.98, 0.035, 0.03), 0.02), (0, 1.16, 0.34)),
        move(box((0.72, 0.028, 0.03), 0.02), (0, 0.80, 0.535)),
    )
    pulls = union(
        *[
            union(
                move(box((0.06, 0.05, 0.045)), at),
                move(box((0.04, 0.15, 0.018), 0.015), (at[0], at[1] - 0.19, at[2] + 0.03)),
            )
            for at in [(0.9, 1.16, 0.37), (-0.66, 0.80, 0.55)]
        ]
    )
    belt = move(band(0.75, 0.62, 0.15, 0.02), (0, 0.86, -0.72))
    wings = mirror(move(turn(box((0.2, 0.26, 0.06), 0.05), "y", 42), (1.27, 0.86, -0.3)))
    buckle = move(carve(box((0.22, 0.22, 0.06)), box((0.13, 0.13, 0.2))), (0.1, 0.86, -1.36))
    return [
        Part(body, seam),
        Part(pocket, stamped(pocket_seam, (0, 0.5), 0.7, GOLD)),
        Part(zips, teeth),
        Part(pulls, BRASS),
        Part(belt, webbing),
        Part(wings, skin),
        Part(buckle, BRASS),
    ]


def clutch() -> list[Part]:
    """Powder pink envelope clutch with brass corners and a wrist strap."""
    skin = leather("#cfa19c", grain=34.0, depth=0.003, gloss=36.0)
    body = move(box((1.5, 0.95, 0.14), 0.07), (0, 0.95, 0))
    triangle = polygon(
        [(-1.44, 1.84), (-1.44, 1.55), (-0.16, 0.66), (0.16, 0.66), (1.44, 1.55), (1.44, 1.84)]
    )
    flap = move(extrude(grow(triangle, 0.05), 0.05, 0.03), (0, 0, 0.17))
    lid = move(box((1.5, 0.04, 0.2), 0.04), (0, 1.88, 0.02))
    flap_skin = stitched(skin, lambda p: triangle(p) + 0.04, "#fbe9e4")
    body_skin = stitched(skin, lambda p: np.abs(p[1] - 0.95) - 0.87, "#fbe9e4")
    corner = both(grow(body, 0.02), move(turn(box((0.2, 0.2, 1), 0.0), "z", 45), (1.5, 0, 0)))
    clasp = union(disc(0.15, 0.05), move(ring(0.15, 0.03), (0, 0, 0.03)))
    strap = move(turn(arch(0.2, 0.62, (0.022, 0.07), 0.018), "z", 168), (-1.66, 0.88, 0.0))
    loop = move(ring(0.09, 0.025), (-1.55, 1.48, 0))
    return [
        Part(body, stamped(body_skin, (0.85, 0.3), 0.62, "#b98a3c")),
        Part(union(flap, lid), flap_skin),
        Part(mirror(corner), BRASS),
        Part(move(clasp, (0, 0.80, 0.24)), BRASS),
        Part(strap, skin),
        Part(loop, BRASS),
    ]


def backpack() -> list[Part]:
    """Olive canvas backpack with a tan leather flap, two buckled belts and a front pocket."""
    canvas = Material(
        lambda p, n: linear("#4f5438") * (0.85 + 0.3 * noise(p, 3.0)),
        lambda p: 0.004 * np.sin((p[0] + p[2]) * 75) * np.sin(p[1] * 75),
        gloss=10.0,
        mirror=0.12,
    )
    tan = leather("#84603f")
    body = move(extrude(slab((1.08, 1.4), (0.45, 0.25)), 0.5, 0.2), (0, 1.42, 0))
    pocket = move(extrude(slab((0.78, 0.48), (0.08, 0.2)), 0.22, 0.1), (0, 0.72, 0.58))
    flap_line = slab((1.13, 0.62), (0.45, 0.42))
    flap = move(extrude(flap_line, 0.09, 0.06), (0, 2.28, 0.56))
    cap = both(grow(body, 0.05), move(box((2, 0.36, 2), 0), (0, 2.66, 0)), 0.05)
    seam = stitched(tan, lambda p: flap_line(p - vec((0, 2.28, 0))) + 0.08, "#f0d6a0")
    pocket_line = slab((0.78, 0.48), (0.08, 0.2))
    pocket_skin = stitched(canvas, lambda p: pocket_line(p - vec((0, 0.72, 0))) + 0.13, "#d8cf9c")
    belts = union(
        mirror(move(box((0.09, 0.62, 0.03), 0.02), (0.5, 1.75, 0.68))),
        mirror(move(box((0.09, 0.30, 0.03), 0.02), (0.5, 1.00, 0.81))),
    )
    frame_shape = carve(box((0.15, 0.13, 0.03), 0.02), box((0.09, 0.07, 0.2)))
    buckles = mirror(move(frame_shape, (0.5, 1.35, 0.74)))
    grip = move(arch(0.26, 0.2, (0.05, 0.07), 0.045), (0, 2.88, -0.3))
    loop = turn(band(0.72, 0.46, 0.13, 0.03), "z", 90)
    shoulders = mirror(move(turn(loop, "y", -10), (0.6, 1.5, -0.55)))
    base = both(grow(body, 0.03), move(box((2, 0.18, 2), 0), (0, 0.1, 0)), 0.03)
    plate = move(box((0.26, 0.09, 0.02), 0.015), (0, 2.18, 0.66))
    return [
        Part(body, canvas),
        Part(pocket, pocket_skin),
        Part(union(flap, cap), seam),
        Part(belts, tan),
        Part(buckles, BRASS),
        Part(grip, tan),
        Part(shoulders, tan),
        Part(base, tan),
        Part(plate, stamped(BRASS, (0, 2.18), 0.44, "#3a2a12")),
    ]


def sunglasses() -> list[Part]:
    """Tortoiseshell glasses with upswept hexagonal rims and smoked lenses."""

    def shell(p: Array, n: Array) -> Array:
        spots = smoothstep(0.42, 0.62, 0.65 * noise(p, 4.2) + 0.35 * noise(p, 9.0, seed=9))
        return linear("#b96a1d") * (1 - spots) + linear("#2a1208") * spots

    acetate = Material(shell, specular=0.06, gloss=220.0, mirror=0.9)
    lens_tint = Material(
        lambda p, n: linear("#3b2a22") * (0.4 + 0.5 * np.clip(1.0 - p[1], 0.0, 1.0)),
        specular=0.10,
        gloss=300.0,
        mirror=1.0,
    )
    hexagon = [
        (-0.58, 0.05),
        (-0.42, -0.47),
        (0.34, -0.47),
        (0.60, 0.02),
        (0.62, 0.46),
        (-0.48, 0.40),
    ]
    eye = grow(polygon([(0.82 + x * 0.86, y * 0.86) for x, y in hexagon]), 0.06)
    rim = extrude(carve(grow(eye, 0.14), eye, 0.01), 0.09, 0.04)
    bridge = move(arch(0.16, 0.05, (0.06, 0.09), 0.04, flat=0.03), (0, 0.12, 0))
    pane = extrude(eye, 0.03, 0.01)
    temple = union(
        move(box((0.05, 0.12, 1.15), 0.035), (1.55, 0.32, -1.15)),
        move(turn(box((0.05, 0.10, 0.42), 0.04), "x", -30), (1.55, 0.13, -2.6)),
        move(box((0.13, 0.13, 0.09), 0.04), (1.47, 0.34, 0)),
    )
    studs = mirror(
        union(
            move(disc(0.045, 0.02), (1.46, 0.37, 0.09)),
            move(turn(box((0.22, 0.035, 0.02), 0.015), "y", 90), (1.605, 0.32, -0.45)),
        )
    )

    def stand(shape: Sdf) -> Sdf:
        return move(turn(shape, "x", -4), (0, 0.56, 1.1))

    return [
        Part(stand(mirror(rim)), acetate),
        Part(stand(mirror(temple)), acetate),
        Part(stand(bridge), acetate),
        Part(stand(mirror(pane)), lens_tint),
        Part(stand(studs), BRASS),
    ]


def dial_paint(p: Array, n: Array) -> Array:
    """Blue sunburst dial with twelve applied hours, a minute track and hands at ten past ten."""
    x, y = p[0], p[1] - 1.5
    radius, angle = length(x, y), np.arctan2(x, y)
    burst = 0.65 + 0.5 * np.abs(np.sin(angle * 2 + 0.6)) ** 2
    colour = linear("#12408c") * burst
    hour = np.abs(np.mod(angle + np.pi / 12, np.pi / 6) - np.pi / 12) * radius
    marks = (hour < 0.028) & (np.abs(radius - 0.60) < 0.11)
    minute = np.abs(np.mod(angle + np.pi / 60, np.pi / 30) - np.pi / 60) * radius
    track = (minute < 0.008) & (np.abs(radius - 0.77) < 0.03)

    def hand(turns: float, reach: float, width: float) -> Mask:
        c, s = np.float32(np.cos(turns * 2 * np.pi)), np.float32(np.sin(turns * 2 * np.pi))
        along, across = x * s + y * c, x * c - y * s
        covered: Mask = (along > -0.1) & (along < reach) & (np.abs(across) < width)
        return covered

    hands = hand(10.17 / 12, 0.38, 0.038) | hand(9.5 / 60, 0.60, 0.026) | (radius < 0.06)
    m = (marks | track | hands).astype(np.float32)
    painted: Array = colour * (1 - m) + linear("#f3f1ea") * m
    return painted


def watch() -> list[Part]:
    """Steel watch with a blue dial on a brown strap, standing on its closed strap."""
    strap_skin = leather("#4e2e1e", grain=24.0, depth=0.004)
    strap = move(turn(band(0.95, 0.98, 0.44, 0.06), "z", 90), (0, 1.5, -0.98))

    def low(p: Array) -> Array:
        line: Array = np.abs(p[0]) - 0.37
        return line

    lugs = mirror(
        mirror(move(turn(box((0.11, 0.34, 0.11), 0.06), "x", 18), (0.55, 0.98, -0.06))), axis=1
    )
    bezel = move(ring(0.91, 0.09), (0, 0, 0.17))
    crown = turn(disc(0.13, 0.1, 0.03), "y", 90)

    def milled(p: Array) -> Array:
        ridges: Array = 0.012 * np.cos(20 * np.arctan2(p[1] - 1.5, p[2] - 0.14))
        return ridges

    crown_steel = Material(STEEL.paint, milled, 0.9, 120.0, 1.0, True)
    dial = Material(dial_paint, specular=0.05, gloss=200.0, mirror=0.55)
    face = move(disc(0.9, 0.02, 0.01), (0, 1.5, 0.31))
    centre = (0.0, 1.5, 0.14)
    return [
        Part(strap, stitched(strap_skin, low, "#e4cfa6")),
        Part(move(disc(1.0, 0.16, 0.06), centre), STEEL),
        Part(move(lugs, centre), STEEL),
        Part(move(bezel, centre), STEEL),
        Part(move(crown, (1.08, 1.5, 0.14)), crown_steel),
        Part(face, stamped(dial, (0, 1.78), 0.42, "#f3f1ea")),
    ]


def coiled_belt() -> list[Part]:
    """Rolled black belt with a large brass buckle on the outside of the coil."""
    skin = leather("#17171a", grain=26.0, depth=0.004, gloss=45.0)
    pitch, turns, first = 0.2, 5, 0.55
    tall = 0.55

    def coil(p: Array) -> Array:
        radius, angle = length(p[0], p[2]), np.arctan2(p[0], -p[2]) / (2 * np.pi)
        lap = np.clip(np.round((radius - first) / pitch - angle), 0, turns - 1)
        d = np.abs(radius - first - pitch * (lap + angle)) - 0.05
        return rounded(d - 0.02, np.abs(p[1] - tall) - tall, 0.02)

    outer = first + pitch * (turns - 1) + 0.05
    frame_shape = carve(
        extrude(slab((0.62, 0.72), (0.28, 0.28)), 0.08, 0.05),
        extrude(slab((0.44, 0.54), (0.14, 0.14)), 0.4, 0.05),
    )
    tongue = capsule((-0.55, 0.0, 0.06), (0.58, 0.0, 0.10), 0.055)
    buckle = move(union(frame_shape, tongue), (0, 0.72, outer + 0.14))
    sewn = stitched(skin, lambda p: np.abs(p[1] - tall) - (tall - 0.09), "#7a7a80")
    return [
        Part(turn(coil, "y", -23), sewn, 0.8),
        Part(buckle, BRASS),
    ]


def _sand_tote() -> list[Part]:
    return tote("#c9b894", "#7d5c3a", "#6f4830")


def _ink_tote() -> list[Part]:
    return tote("#1f2c46", "#8e9bb5", "#17181b")


MODELS = [
    Model("MO1101", "Lisière Tote", "Tote bag", "Sand", "32 cm", _sand_tote),
    Model("MO1102", "Lisière Tote", "Tote bag", "Ink", "32 cm", _ink_tote),
    Model("MO2204", "Belvédère Flap", "Shoulder bag", "Burgundy", "26 cm", flap_bag),
    Model("MO3310", "Citerne Bucket", "Bucket bag", "Cognac", "21 cm", bucket_bag),
    Model("MO3418", "Praticien", "Top-handle bag", "Fir green", "31 cm", doctor_bag),
    Model("MO3522", "Demi-Lune Hobo", "Hobo bag", "Taupe", "30 cm", hobo_bag),
    Model("MO4107", "Octroi Belt Bag", "Belt bag", "Cobalt", "25 cm", belt_bag),
    Model("MO4215", "Pli Envelope", "Clutch", "Powder pink", "30 cm", clutch),
    Model("MO4330", "Sentier Backpack", "Backpack", "Olive", "28 cm", backpack),
    Model("MA5101", "Corniche", "Sunglasses", "Tortoiseshell", "54 mm", sunglasses, 4.0),
    Model("MW6102", "Méridien 36", "Watch", "Steel and blue", "36 mm", watch),
    Model("MA7020", "Arçon Belt", "Belt", "Black", "90 cm", coiled_belt, 12.0),
]
"""The catalogue. MO1101 and MO1102 are twins that differ in colour only."""
