"""SimOTA: which cells of the maps learn to predict which box.

Ge et al., "YOLOX", 2021, section 2.1, a simplification of optimal transport assignment (Ge et al.,
"OTA", CVPR 2021): every box gets the cells that predict it at the least cost, as many as the sum of
its best overlaps says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from satchel.train.locator.overlap import iou

CENTRE_CELLS: Final = 1.5
"""Cells whose centres lie within so many strides of a box's centre are its central ones: 3 × 3."""

OVERLAP_COST: Final = 3.0
OUTSIDE_COST: Final = 1e5
"""Of a cell that is not both inside a box and central: taken only where no other is left."""

MOST_CELLS: Final = 10
"""Overlaps that are summed into a box's number of cells."""

TINY: Final = 1e-7


@dataclass(frozen=True, slots=True)
class Assignment:
    """Cells of one photo that learn a box.

    Attributes:
        cells: shape (p,), int64: their places among all A cells.
        targets: shape (p,), int64: the box of each, by its place.
        overlaps: shape (p,): IoU of what the cell predicts now with its box.
    """

    cells: torch.Tensor
    targets: torch.Tensor
    overlaps: torch.Tensor


@torch.no_grad()
def assign(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    centres: torch.Tensor,
    strides: torch.Tensor,
    *,
    truth: torch.Tensor,
    labels: torch.Tensor,
) -> Assignment:
    """Assign cells of one photo to its boxes.

    Args:
        boxes: shape (A, 4), xyxy in pixels: what each cell predicts now.
        scores: shape (A, C), in [0, 1]: √(objectness × class probability).
        centres: shape (A, 2), in pixels: of the cells.
        strides: shape (A,).
        truth: shape (g, 4), xyxy in pixels; labels: shape (g,), int64.
    """
    cells, both = _candidates(centres, strides, truth)
    overlaps = iou(truth[:, None], boxes[None, cells])
    cost = _class_cost(scores[cells], labels) - OVERLAP_COST * (overlaps + TINY).log()
    cost = cost + OUTSIDE_COST * ~both
    chosen = torch.zeros_like(both)
    if len(cells):
        best = overlaps.topk(min(MOST_CELLS, len(cells)), dim=1).values
        counts = best.sum(1).int().clamp_min(1).tolist()
        for at, count in enumerate(counts):
            chosen[at, cost[at].topk(count, largest=False).indices] = True
    # A cell that several boxes chose learns the one that costs it least.
    cheapest = torch.zeros_like(chosen)
    if len(cells) and len(truth):
        cheapest[cost.argmin(0), torch.arange(len(cells), device=cells.device)] = True
    contested = chosen.sum(0) > 1
    chosen = torch.where(contested[None], cheapest, chosen)
    targets, places = chosen.nonzero(as_tuple=True)
    return Assignment(cells[places], targets, overlaps[targets, places])


def _candidates(
    centres: torch.Tensor, strides: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells inside a box or central to one, shape (k,), and which are both, shape (g, k)."""
    inside = ((centres > truth[:, None, :2]) & (centres < truth[:, None, 2:])).all(2)
    middles = (truth[:, None, :2] + truth[:, None, 2:]) / 2
    central = ((centres - middles).abs() < CENTRE_CELLS * strides[None, :, None]).all(2)
    cells = (inside | central).any(0).nonzero()[:, 0]
    return cells, (inside & central)[:, cells]


def _class_cost(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of k cells' scores for each box's class, summed over classes: (g, k)."""
    scores = scores.clamp(TINY, 1 - TINY)
    absent = -(1 - scores).log()
    present = -scores.log()
    return (absent.sum(1)[:, None] + (present - absent)[:, labels]).T
