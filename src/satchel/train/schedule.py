"""Learning rates, input sides and trained layers, as functions of the step or the epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch

from satchel.train.settings import FitSettings

if TYPE_CHECKING:
    from satchel.train.fitting import Trainable

SIDE_STEP_PX: Final = 32
PARTIAL: Final = 1 / 3
"""Share of the layers, from the end, that the stage `partial` trains."""


def set_rates(optimizer: Any, step: int, total: int, settings: FitSettings) -> None:
    """Set each group's learning rate: a linear warm-up, then a cosine down to zero."""
    share = share_of_rate(step, total, max(1, round(settings.warmup * total)))
    for group in optimizer.param_groups:
        group["lr"] = share * group["peak"]


def share_of_rate(step: int, total: int, warm: int) -> float:
    """Share of the highest rate at a step (from 0): linear over `warm` steps, then a cosine."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def side_of_epoch(settings: FitSettings, epoch: int, epochs: int) -> int:
    """Input side of an epoch (from 0): growing in steps until three quarters of them are done.

    Progressive resizing; Tan and Le, "EfficientNetV2", ICML 2021, section 4.2.
    """
    if settings.first_side_px is None:
        return settings.side_px
    share = min(1.0, epoch / max(1, 0.75 * (epochs - 1)))
    side = settings.first_side_px + share * (settings.side_px - settings.first_side_px)
    return min(settings.side_px, round(side / SIDE_STEP_PX) * SIDE_STEP_PX)


def parameter_groups(trainable: Trainable, settings: FitSettings) -> list[dict[str, Any]]:
    """Parameters by learning rate: blocks further from the end learn slower, or not at all.

    Layer-wise rates as in Clark et al., "ELECTRA", ICLR 2020, section 3.1. Weights are decayed,
    biases and norms are not.
    """
    from timm.optim import param_groups_layer_decay  # noqa: PLC0415 - needs declared operators

    groups: list[dict[str, Any]] = []
    # With a decay of one half, timm's scale tells how many blocks from the end a group is.
    by_layer = param_groups_layer_decay(
        trainable.backbone.network, weight_decay=settings.weight_decay, layer_decay=0.5
    )
    depths = [round(-math.log2(group["lr_scale"])) for group in by_layer]
    reach = {"head": -1, "partial": max(depths) * PARTIAL, "full": max(depths)}[settings.stage]
    for group, depth in zip(by_layer, depths, strict=True):
        if depth > reach:
            for parameter in group["params"]:
                parameter.requires_grad_(False)
            continue
        groups.append(
            {
                "params": group["params"],
                "weight_decay": group["weight_decay"],
                "peak": settings.learning_rate * settings.layer_decay**depth,
            }
        )
    old = {id(parameter) for parameter in trainable.backbone.network.parameters()}
    new = [parameter for parameter in trainable.parameters() if id(parameter) not in old]
    if new:
        groups.append({"params": new, "weight_decay": 0.0, "peak": settings.head_rate})
    return groups


def freeze_statistics(model: torch.nn.Module) -> None:
    """Let batch norms use their running statistics and leave them as they are."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
