"""YOLOX: an anchor-free detector (Ge et al., "YOLOX: Exceeding YOLO Series in 2021").

CSPDarknet → path-aggregation pyramid (Liu et al., "PANet", CVPR 2018) → a decoupled head for each
of three strides. Every cell of a map predicts one box, one objectness and a score for each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import nn

from satchel.train.locator.blocks import (
    ConvUnit,
    CSPLayer,
    PyramidPooling,
    SpaceToDepth,
    by_cell,
    conv3x3,
    doubled,
    grid,
    output_layer,
)

STRIDES: Final = (8, 16, 32)

MOST_LN_CELLS: Final = 7.0
"""Boxes are at most e⁷, some 1,100, cells wide and high: no output becomes infinite."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a YOLOX network.

    Attributes:
        width: channels, as a share of YOLOX-L's.
        blocks: bottlenecks in the short CSP layers; the long ones have three times as many.
        depthwise: 3 × 3 convolutions are depthwise-separable.
    """

    width: float
    blocks: int = 1
    depthwise: bool = False


SIZES: Final = {
    "yolox-nano": Size(0.25, depthwise=True),
    "yolox-tiny": Size(0.375),
}


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a network says of n photos; A cells of all strides together, C classes.

    Attributes:
        offsets: shape (n, A, 4): centre relative to the cell's corner, in cells; ln of width and
            height in cells.
        objectness: shape (n, A), logits.
        classes: shape (n, A, C), logits.
        corners: shape (A, 2): left top corner of each cell, in cells.
        strides: shape (A,): pixels of a cell.
    """

    offsets: torch.Tensor
    objectness: torch.Tensor
    classes: torch.Tensor
    corners: torch.Tensor
    strides: torch.Tensor

    def boxes(self) -> torch.Tensor:
        """Boxes, shape (n, A, 4): left, top, right, bottom in pixels of the input."""
        stride = self.strides[:, None]
        centre = (self.offsets[..., :2] + self.corners) * stride
        half = self.offsets[..., 2:].clamp_max(MOST_LN_CELLS).exp() * (stride / 2)
        return torch.cat((centre - half, centre + half), -1)

    def scores(self) -> torch.Tensor:
        """Scores, shape (n, A, C), in [0, 1]: objectness × class probability."""
        return self.objectness.sigmoid()[..., None] * self.classes.sigmoid()


class CSPDarknet(nn.Module):
    """Pixels → maps at strides 8, 16 and 32."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        base, blocks = round(64 * size.width), size.blocks
        csp = partial(CSPLayer, depthwise=size.depthwise)
        down = partial(conv3x3, depthwise=size.depthwise, stride=2)
        self.stem = SpaceToDepth(3, base)
        self.stage2 = nn.Sequential(
            down(base, base * 2), csp(base * 2, base * 2, blocks=blocks, shortcut=True)
        )
        self.stage3 = nn.Sequential(
            down(base * 2, base * 4), csp(base * 4, base * 4, blocks=3 * blocks, shortcut=True)
        )
        self.stage4 = nn.Sequential(
            down(base * 4, base * 8), csp(base * 8, base * 8, blocks=3 * blocks, shortcut=True)
        )
        self.stage5 = nn.Sequential(
            down(base * 8, base * 16),
            PyramidPooling(base * 16),
            csp(base * 16, base * 16, blocks=blocks, shortcut=False),
        )
        self.channels = (base * 4, base * 8, base * 16)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps at strides 8, 16, 32 of pixels, shape (n, 3, h, w)."""
        eighth = self.stage3(self.stage2(self.stem(pixels)))
        sixteenth = self.stage4(eighth)
        return eighth, sixteenth, self.stage5(sixteenth)


class Pyramid(nn.Module):
    """Path aggregation: coarse maps inform fine ones, then fine ones coarse ones."""

    def __init__(self, size: Size, channels: tuple[int, int, int]) -> None:
        super().__init__()
        fine, middle, coarse = channels
        csp = partial(CSPLayer, blocks=size.blocks, shortcut=False, depthwise=size.depthwise)
        down = partial(conv3x3, depthwise=size.depthwise, stride=2)
        self.lateral = ConvUnit(coarse, middle, 1)
        self.up_middle = csp(2 * middle, middle)
        self.reduce = ConvUnit(middle, fine, 1)
        self.up_fine = csp(2 * fine, fine)
        self.down_fine = down(fine, fine)
        self.down_middle_join = csp(2 * fine, middle)
        self.down_middle = down(middle, middle)
        self.down_coarse_join = csp(2 * middle, coarse)

    def forward(
        self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps at the same three strides."""
        lateral = self.lateral(coarse)
        middle = self.up_middle(torch.cat((doubled(lateral), middle), 1))
        reduced = self.reduce(middle)
        fine = self.up_fine(torch.cat((doubled(reduced), fine), 1))
        middle = self.down_middle_join(torch.cat((self.down_fine(fine), reduced), 1))
        coarse = self.down_coarse_join(torch.cat((self.down_middle(middle), lateral), 1))
        return fine, middle, coarse


class Head(nn.Module):
    """Decoupled head of one stride: classes in one branch, box and objectness in the other."""

    def __init__(self, inputs: int, channels: int, classes: int, *, depthwise: bool) -> None:
        super().__init__()
        unit = partial(conv3x3, channels, channels, depthwise=depthwise)
        self.stem = ConvUnit(inputs, channels, 1)
        self.class_branch = nn.Sequential(unit(), unit())
        self.classes = output_layer(channels, classes)
        self.box_branch = nn.Sequential(unit(), unit())
        self.offsets = nn.Conv2d(channels, 4, 1)
        self.objectness = output_layer(channels, 1)

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Offsets, (n, h w, 4); objectness, (n, h w, 1); classes, (n, h w, C); all raw."""
        maps = self.stem(maps)
        box = self.box_branch(maps)
        classes = self.classes(self.class_branch(maps))
        return by_cell(self.offsets(box)), by_cell(self.objectness(box)), by_cell(classes)


class YOLOX(nn.Module):
    """The network; the class names are the caller's.

    Args:
        classes: how many; at least one.
    """

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        self.size = size
        self.backbone = CSPDarknet(size)
        self.pyramid = Pyramid(size, self.backbone.channels)
        self.heads = nn.ModuleList(
            Head(inputs, round(256 * size.width), classes, depthwise=size.depthwise)
            for inputs in self.backbone.channels
        )

    def forward(self, images: torch.Tensor) -> Predictions:
        """Predict boxes in images.

        Args:
            images: shape (n, 3, h, w), float32, RGB, 0–255; h and w multiples of 32.
        """
        maps = self.pyramid(*self.backbone(images))
        parts = [head(one) for head, one in zip(self.heads, maps, strict=True)]
        # The outputs are exponents, logits and distances: never in half precision.
        offsets, objectness, classes = (
            torch.cat(part, 1).float() for part in zip(*parts, strict=True)
        )
        grids = [grid(one, stride) for one, stride in zip(maps, STRIDES, strict=True)]
        corners, strides = (torch.cat(part).to(offsets) for part in zip(*grids, strict=True))
        return Predictions(offsets, objectness[..., 0], classes, corners, strides)
