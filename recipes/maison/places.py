"""Settings and clutter: the white studio, and the homes of imaginary sellers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recipes.maison.arrays import Array, Vec, linear, smoothstep
from recipes.maison.camera import Camera
from recipes.maison.materials import BRASS, Material, plain
from recipes.maison.noise import noise
from recipes.maison.operators import carve, move, rotation, turn, union
from recipes.maison.primitives import box, capsule, disc, ring
from recipes.maison.scene import Part, Placed, Pose, Setting


def paper(p: Array, n: Array) -> Array:
    """White studio paper; its albedo is above one, as if lamps of its own lit it."""
    return np.full_like(p, 1.40)


def planks(p: Array, n: Array) -> Array:
    """Oak table: boards 1.3 dm wide along x, each with its own tone and grain."""
    board = np.floor(p[2] / 1.3)
    q = p + np.stack([board * 3.7, board * 5.1, board * 0.0])
    streaks = 0.6 * noise(q, (0.35, 1.0, 7.0)) + 0.4 * noise(q, (0.9, 1.0, 23.0), seed=9)
    tone = np.mod(board * 0.37, 1.0) * 0.3 + 0.75
    colour = linear("#94704c") * streaks + linear("#5c4029") * (1 - streaks)
    gap = np.abs(p[2] / 1.3 - np.round(p[2] / 1.3)) < 0.008
    wood: Array = colour * tone * np.where(gap, np.float32(0.35), np.float32(1.0))
    return wood


def sheet(p: Array, n: Array) -> Array:
    """Off-white cotton with broad pale stripes."""
    u = np.mod(p[0] * 0.55 + p[2] * 0.16 + 0.05 * noise(p, 0.9), 1.0)
    m = smoothstep(0.30, 0.31, u) * (1 - smoothstep(0.55, 0.56, u))
    weave = 0.95 + 0.1 * noise(p, 21.0)
    cotton: Array = (linear("#c4bfb6") * (1 - m) + linear("#95a6b5") * m) * weave
    return cotton


def creases(p: Array) -> Array:
    """Folds of a bed sheet: two families of bent waves, heights in decimetres."""
    warp = 2.6 * noise(p, 0.42) + 0.9 * noise(p, 0.9, seed=9)
    first = np.sin(1.7 * p[0] + 0.9 * p[2] + 2.2 * warp)
    second = np.sin(-1.1 * p[0] + 2.3 * p[2] + 2.9 * warp)
    height: Array = 0.20 * np.exp(1.6 * (first - 1)) + 0.13 * np.exp(2.2 * (second - 1))
    return height


def carpet(p: Array, n: Array) -> Array:
    """Wool rug: large lozenges in two tones whose edges follow the knots."""
    q = p + 0.09 * (noise(p, 7.0) - 0.5)
    u, v = np.mod(q[0] * 0.27 + q[2] * 0.27, 1.0), np.mod(q[0] * 0.27 - q[2] * 0.27 + 0.3, 1.0)
    line = np.minimum(np.abs(u - 0.5), np.abs(v - 0.5))
    m = smoothstep(0.09, 0.12, line)
    wool = 0.55 + 0.5 * noise(p, 13.0) + 0.4 * noise(p, 31.0, seed=9)
    return (linear("#5b4a4c") * m + linear("#b09f84") * (1 - m)) * wool


STUDIO = Setting(paper)
TABLE = Setting(planks, None, (0.7, 0.6, 0.25), (2.6, 2.35, 1.95), (0.60, 0.65, 0.72), softness=9.0)
BED = Setting(
    sheet, creases, (-0.8, 0.55, -0.1), (2.1, 2.0, 1.85), (0.55, 0.60, 0.68), softness=4.0
)
RUG = Setting(
    carpet,
    lambda p: 0.05 * noise(p, 17.0),
    (0.25, 0.9, -0.3),
    (2.1, 1.75, 1.3),
    (0.72, 0.68, 0.62),
    softness=6.0,
)


def cup() -> list[Part]:
    """White coffee cup, half full."""
    china = Material(plain("#e9e7e2"), specular=0.05, gloss=150.0, mirror=0.8)
    wall = carve(
        turn(disc(0.42, 0.42, 0.05), "x", 90), move(turn(disc(0.37, 0.42), "x", 90), (0, 0.08, 0))
    )
    ear = move(ring(0.22, 0.05), (0.46, 0.0, 0))
    coffee = move(turn(disc(0.38, 0.02), "x", 90), (0, 0.2, 0))
    return [
        Part(move(union(wall, ear), (0, 0.42, 0)), china),
        Part(move(coffee, (0, 0.42, 0)), Material(plain("#2a160c"), mirror=0.6)),
    ]


def notebook() -> list[Part]:
    """Closed notebook with a pen on it."""
    cover = Material(plain("#7c2f2a"), gloss=20.0)
    pages = Material(plain("#e6dfcc"))
    return [
        Part(move(box((0.74, 0.075, 1.0), 0.03), (0, 0.08, 0)), cover),
        Part(move(box((0.72, 0.05, 0.985), 0.01), (0.035, 0.08, 0)), pages),
        Part(capsule((-0.4, 0.2, 0.5), (0.35, 0.2, -0.6), 0.045), Material(plain("#1b2433"))),
    ]


def keys() -> list[Part]:
    """Two keys on a ring."""
    flat = turn(ring(0.22, 0.02), "x", 90)
    key = union(
        turn(carve(disc(0.15, 0.02), move(disc(0.04, 0.1), (0, 0.07, 0))), "x", 90),
        move(box((0.045, 0.018, 0.28), 0.01), (0, 0, 0.38)),
    )
    pair = union(
        move(turn(key, "y", 20), (0.05, 0.03, 0.3)), move(turn(key, "y", -35), (-0.1, 0.05, 0.25))
    )
    return [
        Part(move(flat, (0, 0.03, 0)), BRASS),
        Part(pair, Material(plain("#c4c7cc"), specular=0.8, gloss=90.0, mirror=1.0, metal=True)),
    ]


def phone() -> list[Part]:
    """Dark phone lying on its back."""
    glass = Material(plain("#0b0c10"), specular=0.06, gloss=250.0, mirror=1.0)
    return [Part(move(box((0.36, 0.04, 0.74), 0.035), (0, 0.04, 0)), glass)]


def lay(parts: list[Part], yaw: float, at: Vec) -> list[Placed]:
    """Place an object on the floor, rotated about the vertical by `yaw` degrees."""
    return [Placed(part, Pose(rotation("y", yaw), at)) for part in parts]


@dataclass(frozen=True)
class Query:
    """A seller's photo.

    Attributes:
        file: name of the JPEG.
        code: of the model that it shows.
        size: side in pixels.
        tip: rotation of the model about x in degrees; −90 lays it on its back.
        lift: height in decimetres that keeps a tipped model on the floor.
        gains: errors of white balance: factors of red, green and blue.
        grain: standard deviation of the sensor noise, in 0..1.
        margin: free share of the picture on each side of the model.
        shift: how far the model is off centre, in half widths.
    """

    file: str
    code: str
    size: int
    setting: Setting
    camera: Camera
    clutter: list[Placed]
    tip: float = 0.0
    lift: float = 0.0
    gains: Vec = (1.0, 1.0, 1.0)
    grain: float = 0.012
    margin: float = 0.16
    shift: tuple[float, float] = (0.0, 0.0)


def queries() -> list[Query]:
    """Return the query photos; angles, light and backgrounds are not those of the catalogue."""
    return [
        Query(
            "IMG_2041.jpg",
            "MO1102",
            1200,
            TABLE,
            Camera(-27, 24, roll=3.5),
            lay(cup(), 150, (2.2, 0, 0.9)) + lay(notebook(), 24, (-2.0, 0, 1.3)),
            gains=(1.06, 1.0, 0.90),
            shift=(0.06, -0.05),
        ),
        Query(
            "IMG_0387.jpg",
            "MO2204",
            640,
            BED,
            Camera(14, 58, roll=-7, target=(0, 0.2, -1.2)),
            lay(phone(), 30, (2.0, 0, 0.2)),
            tip=-90.0,
            lift=0.36,
            gains=(0.95, 1.0, 1.07),
            grain=0.018,
            shift=(-0.05, 0.04),
        ),
        Query(
            "DSC_0152.jpg",
            "MA5101",
            640,
            TABLE,
            Camera(-48, 33, roll=-4, target=(0, 0.4, 0)),
            lay(keys(), 60, (-1.5, 0, 1.6)),
            gains=(1.02, 1.0, 0.96),
            shift=(0.0, 0.06),
        ),
        Query(
            "IMG_7713.jpg",
            "MO3522",
            640,
            RUG,
            Camera(27, 27, roll=5),
            lay(keys(), -20, (-1.6, 0, 0.9)) + lay(phone(), -35, (1.9, 0, 0.6)),
            gains=(1.08, 0.99, 0.86),
            grain=0.022,
            shift=(0.05, 0.05),
        ),
        Query(
            "photo_19.jpg",
            "MW6102",
            640,
            BED,
            Camera(-22, 30, roll=-9),
            [],
            gains=(0.97, 1.0, 1.05),
            grain=0.016,
            margin=0.2,
        ),
    ]
