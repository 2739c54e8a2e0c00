"""Two vectors as one: an ensemble whose cosine is the weighted mean of its members' cosines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import safe_open

from satchel.arrays import Floats

WEIGHT: Final = "ensemble_weight"
"""Note in a safetensors file: weight of the member that the file holds."""


def concatenated(start: Floats, adapted: Floats, weight: float) -> Floats:
    """Vectors of both members as one, of length 1, shape (n, 2 d).

    Args:
        start, adapted: shape (n, d), float32, of length 1.
        weight: ensemble weight of the adapted member.
    """
    both = math.sqrt(1 - weight) * start, math.sqrt(weight) * adapted
    return np.concatenate(both, axis=1).astype(np.float32)


def read_weight(path: Path) -> float:
    """Read the ensemble weight from the metadata of a weights file."""
    with safe_open(path, framework="pt") as file:
        return float(file.metadata()[WEIGHT])
