"""Belt bag, clutch and backpack of Maison Orvane. Each stands on y = 0 and faces +z."""

from __future__ import annotations

import numpy as np

from recipes.maison.arrays import linear, vec
from recipes.maison.materials import BRASS, GOLD, Material, leather, plain, stamped, stitched
from recipes.maison.noise import noise
from recipes.maison.operators import both, carve, grow, mirror, move, turn, union
from recipes.maison.primitives import arch, band, box, disc, extrude, polygon, ring, slab
from recipes.maison.scene import Part


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
