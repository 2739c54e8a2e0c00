"""Sunglasses, watch and belt of Maison Orvane. Each stands on y = 0 and faces +z."""

from __future__ import annotations

import numpy as np

from recipes.maison.arrays import Array, Mask, Sdf, length, linear, smoothstep
from recipes.maison.materials import BRASS, STEEL, Material, leather, stamped, stitched
from recipes.maison.noise import noise
from recipes.maison.operators import carve, grow, mirror, move, turn, union
from recipes.maison.primitives import (
    arch,
    band,
    box,
    capsule,
    disc,
    extrude,
    polygon,
    ring,
    rounded,
    slab,
)
from recipes.maison.scene import Part


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
