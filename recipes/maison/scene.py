"""A scene: parts with a pose, and the setting that they are photographed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recipes.maison.arrays import Array, Mask, Paint, Sdf, Vec, length, vec
from recipes.maison.materials import Material

FAR = 40.0
"""Distance in decimetres beyond which a ray misses."""


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
    """One piece of a model.

    Attributes:
        safety: factor below 1 that shortens steps where the shape overestimates distances.
    """

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
    """Every part that rays can hit; the floor is apart."""

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
