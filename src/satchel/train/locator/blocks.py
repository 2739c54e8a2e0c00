"""Building blocks of detectors: convolution units, CSP layers, spatial pyramid pooling, cells.

Ge et al., "YOLOX: Exceeding YOLO Series in 2021"; CSP layers: Wang et al., "CSPNet", CVPRW 2020.
Modules are created in the order in which they are executed: `weights` pairs them by that order with
the convolutions of an ONNX file.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn
from torch.nn.functional import interpolate

PRIOR: Final = 0.01
"""Probability that a new output layer gives every cell (Lin et al., "Focal Loss", ICCV 2017)."""

EPSILON: Final = 1e-3
MOMENTUM: Final = 0.03
"""Of batch norms, as in the published YOLOX weights."""


class ConvUnit(nn.Module):
    """Convolution without bias, batch norm, SiLU; "same" padding."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON, momentum=MOMENTUM)
        self.activation = nn.SiLU(inplace=True)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (n, inputs, h, w) → (n, outputs, ⌈h / stride⌉, ⌈w / stride⌉)."""
        return self.activation(self.norm(self.conv(maps)))


def conv3x3(inputs: int, outputs: int, *, depthwise: bool, stride: int = 1) -> nn.Module:
    """A 3 × 3 convolution unit; if `depthwise`, one for each channel, then a 1 × 1 unit."""
    if not depthwise:
        return ConvUnit(inputs, outputs, 3, stride=stride)
    return nn.Sequential(
        ConvUnit(inputs, inputs, 3, stride=stride, groups=inputs), ConvUnit(inputs, outputs, 1)
    )


class Bottleneck(nn.Module):
    """A 1 × 1 and a 3 × 3 convolution with a residual connection, if `shortcut`."""

    def __init__(self, channels: int, *, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.reduce = ConvUnit(channels, channels, 1)
        self.spatial = conv3x3(channels, channels, depthwise=depthwise)
        self.shortcut = shortcut

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (n, channels, h, w), of the same shape."""
        out = self.spatial(self.reduce(maps))
        return maps + out if self.shortcut else out


class CSPLayer(nn.Module):
    """Half of the channels pass bottlenecks, half pass them by; both are joined."""

    def __init__(
        self, inputs: int, outputs: int, *, blocks: int, shortcut: bool, depthwise: bool
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.main = ConvUnit(inputs, half, 1)
        self.bypass = ConvUnit(inputs, half, 1)
        self.blocks = nn.Sequential(
            *(Bottleneck(half, shortcut=shortcut, depthwise=depthwise) for _ in range(blocks))
        )
        self.join = ConvUnit(2 * half, outputs, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (n, inputs, h, w) → (n, outputs, h, w)."""
        main, bypass = self.main(maps), self.bypass(maps)
        return self.join(torch.cat((self.blocks(main), bypass), 1))


class PyramidPooling(nn.Module):
    """Spatial pyramid pooling: maxima over 5, 9 and 13 cells next to the map itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = ConvUnit(channels, channels // 2, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.join = ConvUnit(channels * 2, channels, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps, shape (n, channels, h, w), of the same shape."""
        maps = self.reduce(maps)
        return self.join(torch.cat((maps, *(pool(maps) for pool in self.pools)), 1))


class SpaceToDepth(nn.Module):
    """Each 2 × 2 square of pixels becomes one cell with their channels, then a 3 × 3 unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.unit = ConvUnit(4 * inputs, outputs, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels, shape (n, inputs, h, w), h and w even → (n, outputs, h / 2, w / 2)."""
        corners = ((0, 0), (1, 0), (0, 1), (1, 1))  # first down, then right
        return self.unit(torch.cat([pixels[..., y::2, x::2] for y, x in corners], 1))


def output_layer(channels: int, outputs: int) -> nn.Conv2d:
    """A 1 × 1 convolution whose sigmoid is `PRIOR` at first."""
    layer = nn.Conv2d(channels, outputs, 1)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, -math.log((1 - PRIOR) / PRIOR))
    return layer


def doubled(maps: torch.Tensor) -> torch.Tensor:
    """Maps of twice the height and width."""
    return interpolate(maps, scale_factor=2.0, mode="nearest")


def by_cell(maps: torch.Tensor) -> torch.Tensor:
    """(n, c, h, w) → (n, h w, c), row by row."""
    return maps.flatten(2).transpose(1, 2)


def grid(maps: torch.Tensor, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Corners, shape (h w, 2), in cells, and strides, shape (h w,), of a map's cells."""
    height, width = maps.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=maps.device),
        torch.arange(width, device=maps.device),
        indexing="ij",
    )
    corners = torch.stack((x, y), -1).reshape(-1, 2)
    return corners, torch.full_like(corners[:, 0], stride)
