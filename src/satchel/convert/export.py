"""One way from a model in float32 to its files: fp32, fp16 and int8, each compared with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import onnx

from satchel.arrays import Bytes, Floats
from satchel.convert.gate import KINDS, Exported, Kind, compare
from satchel.convert.narrow import halve_weights
from satchel.convert.quantise import observe, quantisable
from satchel.convert.spec import VitSpec, Weights
from satchel.convert.static_int8 import CONVOLUTIONS, quantised
from satchel.convert.vit.layers import LEVELS
from satchel.convert.vit.model import vit_model
from satchel.convert.vit.served import Served
from satchel.progress import SILENT, Progress

CALIBRATION_PHOTOS: Final = 64
"""Crops on which ranges of a network's layers are measured."""


def export_model(
    plain: bytes,
    crops: Bytes,
    own: Floats,
    kinds: Sequence[Kind] = KINDS,
    *,
    int8_layers: Sequence[str] = CONVOLUTIONS,
    progress: Progress = SILENT,
) -> list[Exported]:
    """Convert an ONNX file in float32 to each kind.

    Args:
        crops: shape (n, h, w, 3), uint8, to compare by and to measure ranges on.
        own: the network's vectors of them, shape (n, d).
        int8_layers: operators that int8 files compute in int8.
    """
    convert: dict[Kind, Callable[[], bytes]] = {
        "fp32": lambda: plain,
        "fp16": lambda: halve_weights(onnx.load_from_string(plain)).SerializeToString(),
        "int8": lambda: quantised(plain, crops[:CALIBRATION_PHOTOS], int8_layers),
    }
    return _compared(convert, kinds, crops, own, progress)


def export_vit(
    spec: VitSpec,
    weights: Weights,
    served: Served,
    crops: Bytes,
    kinds: Sequence[Kind] = KINDS,
    *,
    levels: int = LEVELS,
    progress: Progress = SILENT,
) -> list[Exported]:
    """Convert an image encoder of the ViT family to each kind, with local features.

    Args:
        crops: shape (n, side, side, 3), uint8, to compare by and to measure ranges on.
        levels: of weights in int8, see `satchel.convert.vit.layers`.
    """
    progress.begin("measure ranges", len(crops))
    seen = observe(spec, weights, served, crops, progress=progress)
    plain = vit_model(spec, weights, served, patches=seen.patches)

    def int8() -> bytes:
        even, ranges = quantisable(spec, weights, seen.extents)
        made = vit_model(spec, even, served, patches=seen.patches, ranges=ranges, levels=levels)
        # What stays in float32, the patches' and the output's layers, is stored in halves.
        data: bytes = halve_weights(made).SerializeToString()
        return data

    convert: dict[Kind, Callable[[], bytes]] = {
        "fp32": plain.SerializeToString,
        "fp16": lambda: halve_weights(_copy(plain)).SerializeToString(),
        "int8": int8,
    }
    return _compared(convert, kinds, crops, seen.vectors, progress)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _compared(
    convert: dict[Kind, Callable[[], bytes]],
    kinds: Sequence[Kind],
    crops: Bytes,
    own: Floats,
    progress: Progress,
) -> list[Exported]:
    found = []
    for kind in kinds:
        progress.begin(f"compare {kind}", len(crops))
        found.append(compare(kind, convert[kind](), crops, own, progress=progress))
    return found
