"""The loss of YOLOX: overlap of boxes, objectness, classes, and offsets in the last epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from satchel.train.locator.assignment import Assignment, assign
from satchel.train.locator.overlap import iou
from satchel.train.locator.yolox import Predictions

BOX_WEIGHT: Final = 5.0


class ClassWeighted(nn.Module):
    """Base of the objectives: a weight for each class.

    Args:
        class_weights: one for each class, by which its boxes count in the class loss.
    """

    class_weights: torch.Tensor

    def __init__(self, class_weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("class_weights", torch.tensor(class_weights), persistent=False)


class DetectionObjective(ClassWeighted):
    """Loss of a batch, in parts; each part is a mean over the cells that learn a box."""

    def forward(
        self,
        predictions: Predictions,
        boxes: torch.Tensor,
        labels: torch.Tensor,
        plain: bool,
        mains: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """The parts by name; their sum is the loss.

        Args:
            boxes, labels: as in `DetectionBatch`.
            plain: add the loss of offsets, which sharpens boxes at the end.
            mains: not used: YOLOX does not say which good is the main one.
        """
        predicted = predictions.boxes()
        assigned = _assignments(predictions, predicted.detach(), boxes, labels)
        photo = torch.cat([torch.full_like(one.cells, at) for at, one in enumerate(assigned)])
        cells = torch.cat([one.cells for one in assigned])
        targets = torch.cat([one.targets for one in assigned])
        overlaps = torch.cat([one.overlaps for one in assigned])
        count = max(1, len(cells))
        truth, classes = boxes[photo, targets], labels[photo, targets]
        learned = torch.zeros_like(predictions.objectness)
        learned[photo, cells] = 1.0
        logits = predictions.classes[photo, cells]
        wanted = torch.zeros_like(logits)
        wanted[torch.arange(len(classes), device=wanted.device), classes] = overlaps
        weights = self.class_weights[classes][:, None]
        parts = {
            "box": BOX_WEIGHT * (1 - iou(predicted[photo, cells], truth).square()).sum(),
            "objectness": binary_cross_entropy_with_logits(
                predictions.objectness, learned, reduction="sum"
            ),
            "class": (
                weights * binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            ).sum(),
        }
        if plain:
            own = predictions.offsets[photo, cells]
            aim = _offsets(truth, predictions.corners[cells], predictions.strides[cells])
            parts["offsets"] = (own - aim).abs().sum()
        return {name: part / count for name, part in parts.items()}


def _assignments(
    predictions: Predictions, predicted: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor
) -> list[Assignment]:
    """SimOTA of each photo."""
    scores = predictions.scores().detach().sqrt()
    strides = predictions.strides
    centres = (predictions.corners + 0.5) * strides[:, None]
    return [
        assign(
            predicted[at],
            scores[at],
            centres,
            strides,
            truth=boxes[at][real],
            labels=labels[at][real],
        )
        for at, real in enumerate(labels >= 0)
    ]


def _offsets(truth: torch.Tensor, corners: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """What cells have to predict for these boxes; see `Predictions.offsets`."""
    cells = truth / strides[:, None]
    middle = (cells[:, :2] + cells[:, 2:]) / 2
    return torch.cat((middle - corners, (cells[:, 2:] - cells[:, :2]).clamp_min(1e-3).log()), 1)
