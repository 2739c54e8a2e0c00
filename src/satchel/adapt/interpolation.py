"""Interpolation of weights: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.

Called WiSE-FT there (eq. 1).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch


def interpolated(
    start: Mapping[str, torch.Tensor], end: Mapping[str, torch.Tensor], weight: float
) -> dict[str, torch.Tensor]:
    """(1 − weight) × start + weight × end; integer counters are the end's."""
    return {
        name: torch.lerp(value, end[name].to(value), weight)
        if value.is_floating_point()
        else end[name].clone()
        for name, value in start.items()
    }
