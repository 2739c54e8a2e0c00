"""Shading: key light with soft shadows, sky with ambient occlusion, reflections."""

from __future__ import annotations

import numpy as np

from recipes.maison.arrays import Array, Sdf, length, smoothstep, unit, vec
from recipes.maison.scene import Placed, Scene, Setting


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
