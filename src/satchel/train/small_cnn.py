"""Satchel's own small CNN, for training from scratch where no pretrained weights are available."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class SmallCNN(torch.nn.Module):
    """Five convolutions 3 × 3 with batch norm and ReLU, each halving the side: ~1 M parameters.

    Used as a timm network is: `forward_features`, `forward_intermediates`, `num_features`,
    `group_matcher`.

    Args:
        widths: channels of each block; the defaults cost 0.21 G multiplications at 224 × 224.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256, 256)) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                torch.nn.BatchNorm2d(after),
                torch.nn.ReLU(),
            )
            for before, after in zip((3, *widths[:-1]), widths, strict=True)
        )
        self.num_features = widths[-1]
        for module in self.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, scaled: Tensor) -> Tensor:
        """Scaled photos, shape (n, 3, h, w) → maps, shape (n, num_features, h/32, w/32)."""
        for block in self.blocks:
            scaled = block(scaled)
        return scaled

    def forward_intermediates(
        self,
        scaled: Tensor,
        indices: int | Sequence[int] | None = None,
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The last map and the maps after some blocks, as timm's networks give them.

        Args:
            scaled: shape (n, 3, h, w).
            indices: which blocks: the last so many, by number, or all.
            intermediates_only: leave the last map out of the answer.
        """
        maps = []
        for block in self.blocks:
            scaled = block(scaled)
            maps.append(scaled)
        if isinstance(indices, int):
            chosen = maps[len(maps) - indices :]
        else:
            chosen = maps if indices is None else [maps[at] for at in indices]
        return chosen if intermediates_only else (scaled, chosen)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Patterns of parameter names by layer, for learning rates by depth; a block is a layer."""
        return {"blocks": r"^blocks\.(\d+)"}

    def forward(self, scaled: Tensor) -> Tensor:
        """Vectors, shape (n, num_features): the last maps averaged over their places."""
        return self.forward_features(scaled).mean((2, 3))
