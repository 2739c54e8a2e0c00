"""Weights stored in fewer bits than they are computed with: smaller files of the same speed."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

HALVED: Final = "_f16"
"""Ends the names of weights that are stored as float16."""

LEAST_NARROWED: Final = 1_024
"""Values of a weight from which storing it in fewer bits saves more than its unfolding costs."""


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
