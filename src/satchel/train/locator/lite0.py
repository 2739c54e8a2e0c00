"""EfficientNet-Lite0 with a small pyramid: a detector that also says which good is the main one.

EfficientNet-Lite0 (Tan and Le, "EfficientNet", ICML 2019, without squeeze-and-excitation) with
ImageNet weights → path aggregation (Liu et al., "PANet", CVPR 2018) of sums and depthwise
convolutions → a head for each of three strides. Every cell predicts its distances to the four sides
of a box (Tian et al., "FCOS", ICCV 2019), a score for each class, and whether the photo's main good
is there: a softmax over all cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn.functional import softplus
from torch.nn.utils.fusion import fuse_conv_bn_eval

from satchel.train.locator.blocks import by_cell, doubled, grid, output_layer
from satchel.train.pretrained import LITE_MEAN, LITE_STD, create

BACKBONE: Final = "efficientnet_lite0"
STRIDES: Final = (8, 16, 32)
BACKBONE_CHANNELS: Final = (40, 112, 320)
CHANNELS: Final = 64
"""Of all maps of the pyramid."""

DISTANCE_STRIDES: Final = 2.0
"""A distance of 1 is so many strides of its cell."""


@dataclass(frozen=True, slots=True)
class MainPredictions:
    """What the network says of n photos; A cells of all strides together, C classes.

    Attributes:
        distances: shape (n, A, 4), > 0: from the cell's centre to the left, top, right and bottom
            of its box, in pixels of the input.
        classes: shape (n, A, C), logits.
        mains: shape (n, A), logits of a softmax over cells: where the main good is.
        centres: shape (A, 2): of cells, in pixels of the input.
    """

    distances: torch.Tensor
    classes: torch.Tensor
    mains: torch.Tensor
    centres: torch.Tensor

    def boxes(self) -> torch.Tensor:
        """Boxes, shape (n, A, 4): left, top, right, bottom in pixels of the input."""
        low, high = self.distances.split(2, -1)
        return torch.cat((self.centres - low, self.centres + high), -1)

    def scores(self) -> torch.Tensor:
        """Scores, shape (n, A, C), in [0, 1]: IoU to be expected if the class is right."""
        return self.classes.sigmoid()

    def main(self) -> torch.Tensor:
        """Probability that a cell's box is the main good's, shape (n, A); sums to 1."""
        return self.mains.softmax(1)


class Lite0Backbone(nn.Module):
    """Pixels → maps at strides 8, 16 and 32. Batch norms are folded into the convolutions.

    Args:
        weights: as in `satchel.train.pretrained.create`.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        network = create(BACKBONE, weights=weights).network.eval()
        fold_batch_norms(network)
        self.stem = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:3])
        self.middle = nn.Sequential(*network.blocks[3:5])
        self.coarse = nn.Sequential(*network.blocks[5:7])

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps at strides 8, 16, 32 of pixels, shape (n, 3, h, w), 0–255."""
        return self.after_stem(self.low(pixels))

    def low(self, pixels: torch.Tensor) -> torch.Tensor:
        """The map at stride 8, shape (n, 40, h / 8, w / 8): what the stem makes of pixels."""
        maps: torch.Tensor = self.stem((pixels / 255 - LITE_MEAN) / LITE_STD)
        return maps

    def after_stem(self, eighth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All three maps, of that at stride 8."""
        sixteenth = self.middle(eighth)
        return eighth, sixteenth, self.coarse(sixteenth)


class SumPyramid(nn.Module):
    """Path aggregation by sums: coarse maps inform fine ones, then fine ones coarse ones."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, CHANNELS, 1, bias=False), nn.BatchNorm2d(CHANNELS))
            for inputs in BACKBONE_CHANNELS
        )
        self.context = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 1), nn.ReLU6())
        self.up_fine, self.up_middle = separable(), separable()
        self.shrink_fine, self.shrink_middle = depthwise(stride=2), depthwise(stride=2)
        self.down_middle, self.down_coarse = separable(), separable()

    def forward(self, *maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps at the same three strides, finest first."""
        fine, middle, coarse = (one(part) for one, part in zip(self.lateral, maps, strict=True))
        coarse = coarse + self.context(coarse.mean((2, 3), keepdim=True))
        middle = self.up_middle(middle + doubled(coarse))
        fine = self.up_fine(fine + doubled(middle))
        middle = self.down_middle(middle + self.shrink_fine(fine))
        coarse = self.down_coarse(coarse + self.shrink_middle(middle))
        return fine, middle, coarse


class MainHead(nn.Module):
    """Head of one stride: classes and main good in one branch, box in the other."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = separable()
        self.class_branch, self.box_branch = separable(), separable()
        self.classes = output_layer(CHANNELS, classes)
        self.mains = nn.Conv2d(CHANNELS, 1, 1)
        self.distances = nn.Conv2d(CHANNELS, 4, 1)
        assert self.distances.bias is not None
        nn.init.zeros_(self.mains.weight)
        nn.init.ones_(self.distances.bias)

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Distances, (n, h w, 4); classes, (n, h w, C); main good, (n, h w, 1); all raw."""
        maps = self.stem(maps)
        classes = self.class_branch(maps)
        distances = self.distances(self.box_branch(maps))
        return by_cell(distances), by_cell(self.classes(classes)), by_cell(self.mains(classes))


class Lite0Detector(nn.Module):
    """The network; the class names are the caller's.

    Args:
        classes: how many; at least one.
        weights: of the backbone, as in `satchel.train.pretrained.create`.
    """

    def __init__(self, classes: int, weights: str = "none") -> None:
        super().__init__()
        self.backbone = Lite0Backbone(weights)
        self.pyramid = SumPyramid()
        self.heads = nn.ModuleList(MainHead(classes) for _ in STRIDES)

    def forward(self, images: torch.Tensor) -> MainPredictions:
        """Predict boxes in images.

        Args:
            images: shape (n, 3, h, w), float32, RGB, 0–255; h and w multiples of 32.
        """
        return self.predict(*self.backbone(images))

    def predict(self, *backbone: torch.Tensor) -> MainPredictions:
        """Predict boxes from the backbone's three maps."""
        maps = self.pyramid(*backbone)
        parts = [head(one) for head, one in zip(self.heads, maps, strict=True)]
        # The outputs are distances and logits: never in half precision.
        raw, classes, mains = (torch.cat(part, 1).float() for part in zip(*parts, strict=True))
        grids = [grid(one, stride) for one, stride in zip(maps, STRIDES, strict=True)]
        corners, strides = (torch.cat(part).to(raw) for part in zip(*grids, strict=True))
        distances = softplus(raw) * (DISTANCE_STRIDES * strides[:, None])
        centres = (corners + 0.5) * strides[:, None]
        return MainPredictions(distances, classes, mains[..., 0], centres)


def fold_batch_norms(network: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place; its activation stays.

    Args:
        network: of timm, whose batch norms may hold an activation; in evaluation mode.
    """
    before = ""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Conv2d):
            before = name
        elif isinstance(child, nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(getattr(network, before), child)
            setattr(network, before, fused.requires_grad_(True))  # its new bias too
            setattr(network, name, getattr(child, "act", nn.Identity()))
        else:
            fold_batch_norms(child)


def depthwise(stride: int = 1) -> nn.Sequential:
    """A 5 × 5 convolution of each channel, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, CHANNELS, 5, stride, 2, groups=CHANNELS, bias=False),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU6(inplace=True),
    )


def separable() -> nn.Sequential:
    """A depthwise-separable convolution unit."""
    return nn.Sequential(
        *depthwise(),
        nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU6(inplace=True),
    )
