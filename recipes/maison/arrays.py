"""Arrays of points, directions and colours, and small functions of them.

Conventions of this folder:

* points and directions are float32 arrays of shape (3, N), rows x (right), y (up), z (towards
  the viewer of a front picture); lengths are in decimetres;
* a signed distance function (`Sdf`) maps points (3, N) to distances (N,), negative inside;
* colours are linear RGB, shape (3,) or (3, N).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vec = tuple[float, float, float]
Sdf = Callable[[Array], Array]
Paint = Callable[[Array, Array], Array]


def vec(values: Sequence[float]) -> Array:
    """Return a column vector (3, 1) that broadcasts over points."""
    return np.array(values, dtype=np.float32).reshape(3, 1)


def length(*rows: Array) -> Array:
    """Euclidean length (N,) of vectors given by their rows."""
    total: Array = np.sqrt(sum((row * row for row in rows[1:]), rows[0] * rows[0]))
    return total


def unit(v: Array) -> Array:
    """Scale columns of (3, N) to length one."""
    norm: Array = np.maximum(length(*v), 1e-9)
    return v / norm


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t: Array = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def linear(colour: str) -> Array:
    """Convert an sRGB colour "#rrggbb" to a linear column (3, 1)."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    value = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return value.astype(np.float32).reshape(3, 1)
