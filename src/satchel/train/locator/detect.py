"""Boxes in photos by a network in torch, as the exported file gives them to `satchel.locate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from satchel.arrays import Bytes, Floats
from satchel.locate.boxes import suppress
from satchel.locate.main_box import main_box
from satchel.parallel import batched, cores, map_in_order
from satchel.train.locator.augment import letterbox
from satchel.train.locator.figures import MOST_DETECTIONS, Boxes, box_of
from satchel.train.locator.lite0 import MainPredictions
from satchel.train.locator.samples import Samples, says_main

LEAST_SCORE: Final = 0.01
"""Detections below count for nothing in average precision, and take time."""

MOST_CANDIDATES: Final = 400
"""Boxes of a photo that are compared with each other."""

DETECTED_AT_ONCE: Final = 8


class DetectorOutput(torch.nn.Module):
    """Images → the outputs of the exported file: see `satchel.locate.card`."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Detect in images, shape (n, 3, h, w), float32, RGB, 0–255.

        Returns:
            boxes, shape (n, A, 4), xyxy in pixels of the input; scores, shape (n, A, C); and, if
            the network says so, the probability of each to be the main good's, shape (n, A).
        """
        predictions = self.network(images)
        if isinstance(predictions, MainPredictions):
            return predictions.boxes(), predictions.scores(), predictions.main()
        return predictions.boxes(), predictions.scores()


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
    main_first = says_main(samples)

    def load(rows: list[int]) -> tuple[Bytes, Floats, list[Boxes]]:
        images, reach, truths = [], [], []
        for row in rows:
            pixels, boxes, labels = samples[row]
            height, width = pixels.shape[:2]
            canvas, size_wh = letterbox(pixels, side_px)
            images.append(canvas)
            reach.append(size_wh * 2)
            sides = np.array([width, height] * 2, np.float32)
            fractions = (boxes / sides).astype(np.float32)
            truths.append(Boxes.true(fractions, labels, main_first=main_first))
        return np.stack(images), np.array(reach, np.float32), truths

    parts = batched(range(len(samples)), DETECTED_AT_ONCE)
    for images, reach, truths in map_in_order(load, parts, workers=cores(), ahead=1):
        with torch.inference_mode():
            pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
            outputs = [part.cpu().numpy() for part in output(pixels)]
        for own, sides, truth in zip(zip(*outputs, strict=True), reach, truths, strict=True):
            boxes, scores, *main = own
            kept = kept_boxes(boxes / sides, scores, iou=iou)
            fused = main_box(boxes / sides, scores, *main) if main else None
            yield truth, replace(kept, main_box=box_of(fused.box)) if fused else kept


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
