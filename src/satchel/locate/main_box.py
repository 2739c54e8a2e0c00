"""The main good's box, from a detector that says of each cell whether the main good is there.

Cells of one good share its probability among them. Their boxes are fused, so that none has to be
the best one alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from satchel.arrays import Floats
from satchel.locate.boxes import overlaps

CELLS: Final = 30
"""Most probable cells that are compared."""

SAME_IOU: Final = 0.5
"""Boxes that overlap by more are of one good: their probabilities are added."""

FUSED_IOU: Final = 0.6
"""Boxes that overlap the chosen one by more are averaged with it."""


@dataclass(frozen=True, slots=True)
class MainBox:
    """The main good of a photo.

    Attributes:
        box: shape (4,), x0 y0 x1 y1, in the unit of the cells' boxes.
        scores: shape (classes,), in [0, 1].
        probability: that this is the main good's box, in [0, 1].
    """

    box: Floats
    scores: Floats
    probability: float


def main_box(boxes: Floats, scores: Floats, main: Floats) -> MainBox | None:
    """Fuse the boxes of the cells that are probably the main good's.

    Args:
        boxes: shape (k, 4), x0 y0 x1 y1; those not finite or empty do not count.
        scores: shape (k, classes).
        main: shape (k,): probability that the main good is in a cell.

    Returns:
        The box in whose favour most probability is; None where no cell has any.
    """
    usable = np.isfinite(boxes).all(1) & np.isfinite(scores).all(1) & (main > 0)
    usable &= (boxes[:, 2:] > boxes[:, :2]).all(1)
    rows = np.flatnonzero(usable)
    if not len(rows):
        return None
    rows = rows[np.argsort(-main[rows], kind="stable")[:CELLS]]
    shared = np.stack([overlaps(box, boxes[rows]) for box in boxes[rows]])
    mass = (shared > SAME_IOU) @ main[rows]
    chosen = int(mass.round(6).argmax())  # of equal ones the most probable cell
    weights = main[rows] * (shared[chosen] > FUSED_IOU)
    weights /= weights.sum()
    return MainBox(
        box=weights @ boxes[rows],
        scores=weights @ scores[rows],
        probability=min(1.0, float(mass[chosen])),
    )
