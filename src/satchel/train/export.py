"""Export a trained network to ONNX, each file compared with the network.

Three kinds: float32; weights stored as float16 and computed in float32, which halves the file; and
int8, which is fast on processors with instructions for it. A file that does not agree with the
network is not served.
"""

from __future__ import annotations

import io
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from torch.onnx import TrainingMode

from satchel.arrays import Bytes, Floats
from satchel.encode.encoder import INPUT, OUTPUTS
from satchel.train.backbones import Backbone
from satchel.train.batches import TrainingPhotos, two_pass_crops

Kind = Literal["fp32", "fp16", "int8"]
KINDS: Final[tuple[Kind, ...]] = ("fp32", "fp16", "int8")

OPSET: Final = 17
HALVED: Final = "_f16"
"""Ends the names of weights that are stored as float16."""

LEAST_NARROWED: Final = 1_024
"""Values of a weight from which storing it in fewer bits saves more than its unfolding costs."""

LEAST_COSINE: Final[dict[Kind, float]] = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.97}
"""Least cosine of a photo's vector to the network's own, for 99 photos of 100."""

LEAST_OVERLAP: Final = 0.9
"""Least mean share of the five nearest other photos that agree with the network's own."""

EARLY: Final = 0.1
"""Of a cell: how far before the middle of its receptive field EfficientNet-Lite0 centres it.

Measured (docs/decisions/0003-vector.md). Its weights were trained with TensorFlow's padding, whose
strides sample rows 1, 3, 5 …, and make up for a part of that.
"""

CHECKED_PHOTOS: Final = 200
CALIBRATION_PHOTOS: Final = 64
TIMED_BATCH: Final = 8


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


@dataclass(frozen=True, slots=True)
class Exported:
    """One ONNX file and how it compares.

    Attributes:
        cosine: to the network's own vectors, that 99 photos of 100 reach.
        overlap: share of the five nearest other photos that are the same ones.
        ms_per_photo: of a forward pass on all cores, in batches of `TIMED_BATCH`; median.
    """

    kind: Kind
    model: bytes
    cosine: float
    overlap: float
    ms_per_photo: float

    @property
    def agrees(self) -> bool:
        """Whether it may be served."""
        return self.cosine >= LEAST_COSINE[self.kind] and self.overlap >= LEAST_OVERLAP


def export_encoder(
    backbone: Backbone, photos: TrainingPhotos, side_px: int, kinds: Sequence[Kind] = KINDS
) -> list[Exported]:
    """Export a backbone as ONNX in each kind, and compare each with it.

    Args:
        photos: to compare by and, for int8, to measure ranges on; at least two.
    """
    model = Exportable(backbone.float()).eval()
    crops = sample_crops(photos, side_px)
    with torch.inference_mode():
        own = np.concatenate(
            [model(torch.from_numpy(part))[0].numpy() for part in np.array_split(crops, 8)]
        )
    plain = to_onnx(model, side_px)
    convert: dict[Kind, Callable[[], bytes]] = {
        "fp32": lambda: plain,
        "fp16": lambda: halve_weights(onnx.load_from_string(plain)).SerializeToString(),
        "int8": lambda: _quantised(plain, crops[:CALIBRATION_PHOTOS]),
    }
    return [compare(kind, convert[kind](), crops, own) for kind in kinds]


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


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store big float32 weights as float16 behind a Cast, which ONNX Runtime folds on loading.

    Half the file, the same speed; computing stays in float32.
    """
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < LEAST_NARROWED:
            continue
        name = weight.name
        half = f"{name}{HALVED}"
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return model


def int8_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights of convolutions as int8, with a scale for each output channel.

    A quarter of the file, the same speed: ONNX Runtime folds Cast and Mul on loading, and computing
    stays in float32.
    """
    graph = model.graph
    convolved = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    unfolding = []
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        name = weight.name
        if name not in convolved or values.dtype != np.float32 or values.size < LEAST_NARROWED:
            continue
        most = np.abs(values).max(tuple(range(1, values.ndim)), keepdims=True)
        scale = np.maximum(most / 127, np.finfo(np.float32).tiny).astype(np.float32)
        small, wide, scales = (f"{name}.{part}" for part in ("int8", "wide", "scales"))
        weight.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), small))
        graph.initializer.append(numpy_helper.from_array(scale, scales))
        unfolding.append(helper.make_node("Cast", [small], [wide], to=onnx.TensorProto.FLOAT))
        unfolding.append(helper.make_node("Mul", [wide, scales], [name]))
    for node in reversed(unfolding):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return model


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is not typed
    def __init__(self, crops: Bytes) -> None:
        self._batches: Iterator[Bytes] = iter(np.array_split(crops, max(1, len(crops) // 8)))

    def get_next(self) -> dict[str, Bytes] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _quantised(model: bytes, crops: Bytes) -> bytes:
    """Static quantisation, a scale for each channel; convolutions alone, which take the time."""
    with tempfile.TemporaryDirectory() as folder:
        whole, ready, small = (Path(folder) / f"{name}.onnx" for name in ("a", "b", "c"))
        whole.write_bytes(model)
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(small),
            _Reader(crops),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return small.read_bytes()


def compare(kind: Kind, model: bytes, crops: Bytes, own: Floats) -> Exported:
    """Hold an ONNX file against the network's own vectors of crops, shape (n, d)."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    batches = np.array_split(crops, max(1, len(crops) // TIMED_BATCH))
    vectors, times = [], []
    for batch in batches:
        began = time.perf_counter()
        vectors.append(session.run([OUTPUTS[0]], {INPUT: batch})[0])
        times.append((time.perf_counter() - began) / len(batch))
    exported = np.concatenate(vectors)
    return Exported(
        kind,
        model,
        float(np.quantile((exported * own).sum(1), 0.01)),
        _overlap(exported, own),
        1000 * float(np.median(times)),
    )


def _overlap(found: Floats, own: Floats) -> float:
    """Mean share of each photo's five nearest others that both agree on."""
    k = min(5, len(own) - 1)
    nearest: list[Any] = []
    for vectors in (found, own):
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -2)
        nearest.append(np.argsort(-cosines, axis=1, kind="stable")[:, :k])
    pairs = zip(*nearest, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))
