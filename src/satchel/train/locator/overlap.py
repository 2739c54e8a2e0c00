"""Overlap of boxes as tensors."""

from __future__ import annotations

from typing import Final

import torch

TINY: Final = 1e-7
"""Area in pixels² that no union or hull is below."""


def iou(ones: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """IoU of boxes, xyxy; shapes (…, 4), broadcast → (…)."""
    return _iou_and_union(ones, others)[0]


def generalised_iou(ones: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU of boxes, xyxy; shapes (…, 4), broadcast → (…).

    Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.
    """
    overlap, union = _iou_and_union(ones, others)
    low, high = torch.minimum(ones, others)[..., :2], torch.maximum(ones, others)[..., 2:]
    hull = (high - low).prod(-1) + TINY
    return overlap, overlap - (hull - union) / hull


def _iou_and_union(ones: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU, and the union's area."""
    low, high = torch.maximum(ones, others)[..., :2], torch.minimum(ones, others)[..., 2:]
    shared = (high - low).clamp_min(0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (ones, others)]
    union = areas[0] + areas[1] - shared + TINY
    return shared / union, union
