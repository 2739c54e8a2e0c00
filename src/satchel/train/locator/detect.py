"""Boxes in photos by a network in torch, as the exported file gives them to `satchel.locate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch

from satchel.arrays import Bytes, Floats
from satchel.locate.boxes import suppress
from satchel.parallel import batched, cores, map_in_order
from satchel.train.locator.augment import letterbox
from satchel.train.locator.figures import MOST_DETECTIONS, Boxes
from satchel.train.locator.samples import Samples

LEAST_SCORE: Final = 0.01
"""Detections below count for nothing in average precision, and take time."""

MOST_CANDIDATES: Final = 400
"""Boxes of a photo that are compared with each other."""

DETECTED_AT_ONCE: Final = 8


class DetectorOutput(torch.nn.Module):
    """Images → boxes and scores, what the exported file computes: see `satchel.locate.card`."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Detect in images, shape (n, 3, h, w), float32, RGB, 0–255.

        Returns:
            boxes, shape (n, A, 4), xyxy in pixels of the input; scores, shape (n, A, C).
        """
        found = self.network(images)
        return found.boxes(), found.scores()


def detect(
    network: torch.nn.Module, samples: Samples, side_px: int, *, iou: float
) -> Iterator[tuple[Boxes, Boxes]]:
    """Yield truth and detections of each sample, in their order.

    Args:
        network: in evaluation mode.
        iou: boxes that overlap a better one by more are dropped.
    """
    output = DetectorOutput(network)
    device = next(network.parameters()).device

    def load(rows: list[int]) -> tuple[Bytes, Floats, list[Boxes]]:
        images, reach, truths = [], [], []
        for row in rows:
            pixels, boxes, labels = samples[row]
            height, width = pixels.shape[:2]
            canvas, size_wh = letterbox(pixels, side_px)
            images.append(canvas)
            reach.append(size_wh * 2)
            sides = np.array([width, height] * 2, np.float32)
            truths.append(Boxes.true((boxes / sides).astype(np.float32), labels))
        return np.stack(images), np.array(reach, np.float32), truths

    parts = batched(range(len(samples)), DETECTED_AT_ONCE)
    for images, reach, truths in map_in_order(load, parts, workers=cores(), ahead=1):
        with torch.inference_mode():
            pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
            boxes, scores = (part.cpu().numpy() for part in output(pixels))
        for own, given, sides, truth in zip(boxes, scores, reach, truths, strict=True):
            yield truth, kept_boxes(own / sides, given, iou=iou)


def kept_boxes(boxes: Floats, scores: Floats, *, iou: float) -> Boxes:
    """The best boxes of a photo that do not overlap.

    Args:
        boxes: shape (A, 4), xyxy as fractions of the photo.
        scores: shape (A, C); the best class of each box counts.
    """
    labels, best = scores.argmax(1), scores.max(1)
    clipped = np.clip(boxes, 0, 1)
    real = (clipped[:, 2:] > clipped[:, :2]).all(1) & (best >= LEAST_SCORE)
    rows = np.flatnonzero(real)
    rows = rows[np.argsort(-best[rows], kind="stable")[:MOST_CANDIDATES]]
    rows = rows[suppress(clipped[rows], best[rows], iou=iou, at_most=MOST_DETECTIONS)]
    return Boxes(clipped[rows], labels[rows].astype(np.int64), best[rows])
