"""The sphere tracer: scene, setting and camera → picture.

Hart, "Sphere tracing", The Visual Computer 12, 1996.
"""

from __future__ import annotations

import math

import numpy as np

from recipes.maison.arrays import Array, Vec
from recipes.maison.camera import CHUNK, Camera, cast, rays
from recipes.maison.light import shade, shade_floor
from recipes.maison.scene import Scene, Setting


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
