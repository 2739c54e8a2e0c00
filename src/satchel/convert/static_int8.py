"""Static quantisation of any ONNX model: a scale for each output channel of the layers in int8."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from satchel.arrays import Bytes
from satchel.encode.encoder import INPUT

CONVOLUTIONS: Final = ("Conv",)
ALL_LAYERS: Final = ("Conv", "MatMul", "Gemm")


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is not typed
    def __init__(self, crops: Bytes) -> None:
        self._batches: Iterator[Bytes] = iter(np.array_split(crops, max(1, len(crops) // 8)))

    def get_next(self) -> dict[str, Bytes] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def quantised(model: bytes, crops: Bytes, layers: Sequence[str] = CONVOLUTIONS) -> bytes:
    """Quantise a model, with ranges measured on crops, shape (n, h, w, 3), uint8.

    Args:
        layers: operators that are computed in int8: those that take the time.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole, ready, small = (Path(folder) / f"{name}.onnx" for name in ("a", "b", "c"))
        whole.write_bytes(model)
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(small),
            _Reader(crops),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(layers),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return small.read_bytes()
