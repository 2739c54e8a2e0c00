"""Export a trained network to ONNX, each file compared with the network.

Three kinds: float32; weights stored as float16 and computed in float32, which halves the file; and
int8, which is fast on processors with instructions for it. A file that does not agree with the
network is not served.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch.onnx import TrainingMode

from satchel.arrays import Bytes
from satchel.convert.export import export_model
from satchel.convert.gate import KINDS, Exported, Kind
from satchel.convert.static_int8 import CONVOLUTIONS
from satchel.encode.encoder import INPUT, OUTPUTS
from satchel.train.backbones import Backbone
from satchel.train.batches import TrainingPhotos, two_pass_crops

OPSET: Final = 17
EARLY: Final = 0.1
"""Of a cell: how far before the middle of its receptive field EfficientNet-Lite0 centres it.

Measured (docs/decisions/0003-vector.md). Its weights were trained with TensorFlow's padding, whose
strides sample rows 1, 3, 5 …, and make up for a part of that.
"""

CHECKED_PHOTOS: Final = 200


class Exportable(torch.nn.Module):
    """Bytes → (vectors of length 1, saliency), as `satchel.encode.encoder.Encoder` expects."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode crops, shape (n, side, side, 3), uint8."""
        maps = self.backbone.maps(crops)
        vectors = self.backbone.vectors(crops, maps)
        unit = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
        saliency = maps.sum(1).clamp_min(0)
        side_px = int(crops.shape[1])
        return unit, centred(saliency, side_px) if self.backbone.pads_strides else saliency


def centred(saliency: torch.Tensor, side_px: int) -> torch.Tensor:
    """Resample a map of a network whose strides are padded, so that its cells tile the photo.

    Args:
        saliency: shape (n, cells, cells).
        side_px: of the square crop that it is of.

    Returns:
        shape (n, cells, cells); cell i is about the i-th of `cells` equal parts of the side.
    """
    weights = centring(saliency.shape[-1], side_px).to(saliency)
    return weights @ saliency @ weights.T


def centring(cells: int, side_px: int) -> torch.Tensor:
    """Weights that make a row of centred cells of a row of a network's own.

    Each stride pads both sides alike, so that of an even number of rows it samples rows 0, 2, 4 …:
    with strides of 32 together, the network's cell i is centred on pixel 32 i, and a little before
    it (`EARLY`). The first is centred on the border and sees padding by half; there is none on the
    other border. Both count as zero, else the map would be higher at the right and at the bottom.

    Returns:
        shape (`cells`, `cells`), float32: linear interpolation at the middles of equal parts.
    """
    stride = 2 ** math.ceil(math.log2(side_px / cells))
    middles = (torch.arange(cells) + 0.5) * (side_px / cells / stride) + EARLY
    weights = (1 - (middles[:, None] - torch.arange(cells)).abs()).clamp_min(0)
    weights[:, 0] = 0
    return weights


def export_encoder(
    backbone: Backbone, photos: TrainingPhotos, side_px: int, kinds: Sequence[Kind] = KINDS
) -> list[Exported]:
    """Export a backbone as ONNX in each kind, and compare each with it.

    Args:
        photos: to compare by and, for int8, to measure ranges on; at least two.
    """
    return export_crops(backbone, sample_crops(photos, side_px), kinds)


def export_crops(
    backbone: Backbone,
    crops: Bytes,
    kinds: Sequence[Kind] = KINDS,
    *,
    int8_layers: Sequence[str] = CONVOLUTIONS,
) -> list[Exported]:
    """Export a backbone as `export_encoder` does, by crops, shape (n, side, side, 3), uint8.

    Args:
        int8_layers: operators that int8 files compute in int8.
    """
    model, side_px = Exportable(backbone.float()).eval(), crops.shape[1]
    with torch.inference_mode():
        own = np.concatenate(
            [model(torch.from_numpy(part))[0].numpy() for part in np.array_split(crops, 8)]
        )
    return export_model(to_onnx(model, side_px), crops, own, kinds, int8_layers=int8_layers)


def sample_crops(photos: TrainingPhotos, side_px: int) -> Bytes:
    """Bytes of a sample of photos, each whole; shape (n, side, side, 3)."""
    rows = np.unique(np.linspace(0, len(photos) - 1, CHECKED_PHOTOS).astype(np.int64))
    some = TrainingPhotos(
        tuple(photos.names[row] for row in rows),
        photos.labels[rows],
        tuple(photos.boxes[row] for row in rows),
        photos.read,
    )
    return np.concatenate([crops[:, 0] for crops in two_pass_crops(some, side_px)])


def to_onnx(model: Exportable, side_px: int, *, folded: bool = True) -> bytes:
    """Export with any batch size, in float32.

    Args:
        folded: batch norms into convolutions, as ONNX Runtime does when it loads a model; else
            every tensor of the network keeps its name.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():  # the exporter warns of itself; it is the one that folds
        warnings.simplefilter("ignore")  # batch norms into convolutions
        torch.onnx.export(
            model,
            (torch.zeros(2, side_px, side_px, 3, dtype=torch.uint8),),
            buffer,  # type: ignore[arg-type] # declared for the other exporter
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "n"} for name in (INPUT, *OUTPUTS)},
            opset_version=OPSET,
            dynamo=False,
            training=TrainingMode.EVAL if folded else TrainingMode.PRESERVE,
            do_constant_folding=folded,
        )
    return buffer.getvalue()
