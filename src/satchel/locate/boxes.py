"""Arithmetic of boxes in pixels: overlap and non-maximum suppression."""

from __future__ import annotations

import numpy as np

from satchel.arrays import Floats, Ints


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box, shape (4,), with others, shape (n, 4); all x0 y0 x1 y1.

    Returns:
        shape (n,), in [0, 1]; 0 where both boxes are empty.
    """
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared
    ratios: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratios


def suppress(boxes: Floats, scores: Floats, *, iou: float, at_most: int) -> Ints:
    """Keep the best of boxes that overlap: greedy non-maximum suppression.

    Args:
        boxes: shape (n, 4), x0 y0 x1 y1.
        scores: shape (n,).
        iou: boxes that overlap a better one by more are dropped.
        at_most: how many to keep.

    Returns:
        rows that are kept, by score, descending; of equal scores the first.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < at_most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[overlaps(boxes[best], boxes[left]) <= iou]
    return np.array(kept, np.int64)
