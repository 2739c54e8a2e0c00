"""Materials: how surfaces reflect light, and what is sewn and stamped on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from recipes.maison.arrays import Array, Mask, Paint, Sdf, linear
from recipes.maison.noise import cells, noise


@dataclass(frozen=True)
class Material:
    """How a surface reflects light.

    Attributes:
        paint: local points and normals → albedo.
        bump: height field in decimetres that tilts the normal.
        specular: reflectance at normal incidence.
        gloss: Blinn–Phong exponent.
        mirror: strength of the reflected surroundings.
        metal: no diffuse part, and a tinted reflection.
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


BRASS = metal("#d9b36a")
STEEL = metal("#d5d8dc")
GOLD = "#e2bf74"
