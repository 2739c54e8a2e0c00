"""Task-aligned learning: cells that classify and localise a box well learn it.

Assignment: Feng et al., "TOOD: Task-aligned One-stage Object Detection", ICCV 2021, section 3.2.
Class targets are overlaps: Zhang et al., "VarifocalNet", CVPR 2021. Boxes: Rezatofighi et al.,
"Generalized Intersection over Union", CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from satchel.train.locator.lite0 import MainPredictions
from satchel.train.locator.objective import ClassWeighted
from satchel.train.locator.overlap import generalised_iou, iou

SCORE_POWER: Final = 0.5
OVERLAP_POWER: Final = 4.0
"""Alignment of a cell with a box: score^SCORE_POWER × IoU^OVERLAP_POWER."""

CELLS: Final = 10
"""Cells that learn a box, at most."""

NEGATIVE_WEIGHT: Final = 0.75
"""Of cells that learn no box in the class loss, times their probability squared."""

BOX_WEIGHT: Final = 2.0
MAIN_WEIGHT: Final = 0.5

LEAST_SCORE: Final = 1e-4
UNALIGNED: Final = 1e-9
"""Alignment of any cell inside a box: as training begins, few predicted boxes overlap it."""

TINY: Final = 1e-7


@dataclass(frozen=True, slots=True)
class Alignment:
    """What cells of n photos learn; A cells, m boxes.

    Attributes:
        places: shape (n, A), int64: the box of each cell.
        quality: shape (n, A), in [0, 1]: how much it should say that the box is there; 0 where the
            cell learns none.
    """

    places: torch.Tensor
    quality: torch.Tensor


class TaskAlignedObjective(ClassWeighted):
    """Loss of a batch, in parts, each normalised by the sum of qualities."""

    def forward(
        self,
        predictions: MainPredictions,
        boxes: torch.Tensor,
        labels: torch.Tensor,
        plain: bool,
        mains: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The parts by name; their sum is the loss.

        Args:
            boxes, labels, mains: as in `DetectionBatch`.
            plain: not used.
        """
        predicted = predictions.boxes()
        aligned = align(
            predicted.detach(), predictions.scores().detach(), predictions.centres, boxes, labels
        )
        quality, places = aligned.quality, aligned.places
        total = quality.sum().clamp_min(1)
        classes = labels.clamp_min(0).gather(1, places)
        truth = boxes.gather(1, places[..., None].expand(-1, -1, 4))
        _, generalised = generalised_iou(predicted, truth)
        return {
            "class": self._class_loss(predictions, quality, classes) / total,
            "box": BOX_WEIGHT * ((1 - generalised) * quality).sum() / total,
            "main": MAIN_WEIGHT * _main_loss(predictions.mains, aligned, mains),
        }

    def _class_loss(
        self, predictions: MainPredictions, quality: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        """Binary cross entropy with qualities, which are also the weights of positives."""
        logits = predictions.classes
        targets = one_hot(classes, logits.shape[2]) * quality[..., None]
        negative = NEGATIVE_WEIGHT * predictions.scores().detach().square()
        weights = torch.where(targets > 0, targets * self.class_weights, negative)
        return (binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights).sum()


@torch.no_grad()
def align(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    centres: torch.Tensor,
    truth: torch.Tensor,
    labels: torch.Tensor,
) -> Alignment:
    """Assign cells to boxes.

    A box gets the `CELLS` cells inside it that are aligned best. A cell that several boxes chose
    learns the one it overlaps most. Qualities of a box's cells are their alignments, scaled so that
    the best equals the best overlap.

    Args:
        boxes: shape (n, A, 4), xyxy in pixels: what each cell predicts now.
        scores: shape (n, A, C), in [0, 1].
        centres: shape (A, 2), in pixels: of the cells.
        truth: shape (n, m, 4), xyxy in pixels; labels: shape (n, m), int64, < 0: no box.
    """
    shared = iou(boxes[:, None], truth[:, :, None])
    inside = ((centres > truth[:, :, None, :2]) & (centres < truth[:, :, None, 2:])).all(3)
    inside &= (labels >= 0)[..., None]
    wanted = labels.clamp_min(0)[:, None].expand(-1, scores.shape[1], -1)
    own = scores.gather(2, wanted).transpose(1, 2).clamp_min(LEAST_SCORE)
    alignment = (own**SCORE_POWER * shared**OVERLAP_POWER + UNALIGNED) * inside
    best = alignment.topk(min(CELLS, alignment.shape[2]), dim=2)
    chosen = torch.zeros_like(inside).scatter_(2, best.indices, best.values > 0)
    places = torch.where(chosen, shared, -1.0).argmax(1)
    chosen &= one_hot(places, chosen.shape[1]).transpose(1, 2).bool()
    alignment, shared = alignment * chosen, shared * chosen
    scale = shared.amax(2, keepdim=True) / alignment.amax(2, keepdim=True).clamp_min(UNALIGNED)
    return Alignment(places, (alignment * scale).sum(1))


def _main_loss(logits: torch.Tensor, aligned: Alignment, mains: torch.Tensor) -> torch.Tensor:
    """Cross entropy over all cells with the qualities of the main box's; photos without one: 0."""
    wanted = aligned.quality * (aligned.places == mains[:, None])
    total = wanted.sum(1, keepdim=True)
    known = total[:, 0] > 0
    losses = -(wanted / total.clamp_min(TINY) * logits.log_softmax(1)).sum(1)
    return (losses * known).sum() / known.sum().clamp_min(1)
