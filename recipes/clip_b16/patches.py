"""Patch output of the built-in encoder: embeddings of CLIP's most attended patches.

Nodes that read the image encoder's tokens before its last block, and how that block's class token
attends to them. They are a separate file, whose bytes follow the image encoder's, so that its 95 MB
are not changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from satchel.adapt.clip_file import BLOCKS, HEADS, WIDTH
from satchel.arrays import Floats
from satchel.convert.onnx_graph import Graph
from satchel.encode.encoder import INPUT, PATCH_OUTPUTS

KEPT: Final = 64
"""Patches of a photo, those with the most attention; the others are mostly background."""

DIMENSIONS: Final = 128
"""Length of a patch's vector: the first principal axes of tokens."""

LARGEST: Final = 127
BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class LastBlock:
    """Names of tensors in the image encoder: tokens before its last block, and what is attended by.

    Attributes:
        tokens: shape (n, 1 + patches, `WIDTH`).
        query: shape (n, 1, `WIDTH`), of the class token; `key` as tokens, of all.
    """

    tokens: str
    query: str
    key: str


def last_block(model: onnx.ModelProto) -> LastBlock:
    """Find the last block in a model of the image encoder."""
    nodes = model.graph.node
    norm = next(node for node in nodes if f"{BLOCKS - 1}.ln1.g" in node.input)
    *_, attention = (node for node in nodes if node.op_type == "MultiHeadAttention")
    return LastBlock(norm.input[0], attention.input[0], attention.input[1])


def tokens_of(model: onnx.ModelProto, crops: npt.NDArray[np.uint8]) -> Floats:
    """The patches' tokens before the last block; shape (n, patches, `WIDTH`)."""
    name = last_block(model).tokens
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    probed.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = ort.InferenceSession(probed.SerializeToString(), providers=["CPUExecutionProvider"])
    batches = np.array_split(crops, -(-len(crops) // BATCH))
    seen: Sequence[Any] = [session.run([name], {INPUT: batch})[0] for batch in batches]
    return np.concatenate(seen)[:, 1:]


def principal_axes(tokens: Floats) -> tuple[Floats, Floats]:
    """Mean and first `DIMENSIONS` axes of tokens: shapes (`WIDTH`,), (`WIDTH`, `DIMENSIONS`)."""
    rows = tokens.reshape(-1, WIDTH).astype(np.float64)
    centre = rows.mean(0)
    rows -= centre
    _, axes = np.linalg.eigh(rows.T @ rows)
    first = np.ascontiguousarray(axes[:, ::-1][:, :DIMENSIONS], np.float32)
    return centre.astype(np.float32), first


def patches_part(model: onnx.ModelProto, centre: Floats, axes: Floats) -> bytes:
    """Return the bytes that, appended to a model of the image encoder, make it give patches.

    Args:
        centre, axes: see `principal_axes`.
    """
    graph, block = Graph(prefix="patches/"), last_block(model)
    attended = _attention(graph, block)
    most = graph.constant("kept", np.array([KEPT], np.int64))
    shares, places = graph.add_two("TopK", attended, most, axis=-1)
    total = graph.add("ReduceSum", shares, graph.shape(-1), keepdims=1)
    graph.add("Div", shares, total, output=PATCH_OUTPUTS[1])
    patches = graph.add("Slice", block.tokens, graph.shape(1), graph.shape(1 << 31), graph.shape(1))
    places = graph.add("Unsqueeze", places, graph.shape(-1))
    patches = graph.add("GatherND", patches, places, batch_dims=1)
    patches = graph.add("Sub", patches, graph.constant("centre", centre))
    patches = graph.add("MatMul", patches, graph.constant("axes", axes))
    length = graph.add("ReduceL2", patches, graph.shape(-1), keepdims=1)
    patches = graph.add("Div", patches, length)
    patches = graph.add("Mul", patches, graph.constant("largest", np.float32(LARGEST)))
    graph.add("Cast", graph.add("Round", patches), output=PATCH_OUTPUTS[0], to=TensorProto.INT8)
    outputs = [
        helper.make_tensor_value_info(name, kind, ["n", KEPT, *further])
        for name, kind, further in (
            (PATCH_OUTPUTS[0], TensorProto.INT8, [axes.shape[1]]),
            (PATCH_OUTPUTS[1], TensorProto.FLOAT, []),
        )
    ]
    # Nodes, tensors and outputs alone: a second name or version would conflict with the first.
    part = onnx.GraphProto(node=graph.nodes, initializer=graph.tensors.values(), output=outputs)
    data: bytes = onnx.ModelProto(graph=part).SerializeToString()
    return data


def _attention(graph: Graph, block: LastBlock) -> str:
    """How much the class token attends to each patch, mean of the heads; shape (n, patches)."""
    query, key = (
        graph.add("Reshape", tensor, graph.shape(0, -1, HEADS, WIDTH // HEADS))
        for tensor in (block.query, block.key)
    )
    query = graph.add("Transpose", query, perm=[0, 2, 1, 3])
    key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
    scale = graph.constant("scale", np.float32((WIDTH // HEADS) ** -0.5))
    likeness = graph.add("Mul", graph.add("MatMul", query, key), scale)
    shares = graph.add("Softmax", likeness, axis=-1)
    mean = graph.add("ReduceMean", shares, graph.shape(1, 2), keepdims=0)
    return graph.add("Slice", mean, graph.shape(1), graph.shape(1 << 31), graph.shape(1))
