"""Local features: the patches with the most attention, in their first principal axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from satchel.arrays import Floats
from satchel.convert.onnx_graph import Graph
from satchel.encode.encoder import PATCH_OUTPUTS

LARGEST: Final = 127


@dataclass(frozen=True, slots=True)
class PatchAxes:
    """The space of local features.

    Attributes:
        centre: shape (width,): mean of the tokens.
        axes: shape (width, e): their first principal axes.
    """

    centre: Floats
    axes: Floats


def add_patches(
    graph: Graph, tokens: str, attention: str, patches: PatchAxes, kept: int
) -> list[onnx.ValueInfoProto]:
    """Add the outputs of local features: the `kept` patches with the most attention.

    Args:
        tokens: name, shape (n, patches, width); `attention`: name, shape (n, patches).
    """
    most = graph.constant("kept", np.array([kept], np.int64))
    shares, places = graph.add_two("TopK", attention, most, axis=-1)
    total = graph.add("ReduceSum", shares, graph.shape(-1), keepdims=1)
    graph.add("Div", shares, total, output=PATCH_OUTPUTS[1])
    places = graph.add("Unsqueeze", places, graph.shape(-1))
    values = graph.add("GatherND", tokens, places, batch_dims=1)
    values = graph.add("Sub", values, graph.constant("centre", patches.centre))
    values = graph.add("MatMul", values, graph.constant("axes", patches.axes))
    length = graph.add("ReduceL2", values, graph.shape(-1), keepdims=1)
    values = graph.add("Div", values, length)
    values = graph.add("Mul", values, graph.constant("largest", np.float32(LARGEST)))
    graph.add("Cast", graph.add("Round", values), output=PATCH_OUTPUTS[0], to=TensorProto.INT8)
    return [
        helper.make_tensor_value_info(name, kind, ["n", kept, *further])
        for name, kind, further in (
            (PATCH_OUTPUTS[0], TensorProto.INT8, [patches.axes.shape[1]]),
            (PATCH_OUTPUTS[1], TensorProto.FLOAT, []),
        )
    ]
