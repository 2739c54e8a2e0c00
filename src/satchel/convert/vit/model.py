"""An image encoder's whole graph: crops → vectors, tokens and attention; and models made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import onnx
from onnx import TensorProto, helper

from satchel.convert.onnx_graph import Graph
from satchel.convert.spec import VitSpec, Weights
from satchel.convert.vit.blocks import block, class_token_block
from satchel.convert.vit.layers import CONTRIB, LEVELS, Layers, Ranges
from satchel.convert.vit.local_features import PatchAxes, add_patches
from satchel.convert.vit.pooling import attention_pool, mean_pool
from satchel.convert.vit.positions import rotation
from satchel.convert.vit.served import Served
from satchel.convert.vit.tokens import embedded, n_prefix, only_patches, patches_along
from satchel.encode.encoder import INPUT, OUTPUTS

OPSET: Final = 18
IR_VERSION: Final = 9


@dataclass(frozen=True, slots=True)
class Written:
    """Names of what a graph computes for n crops of r × c patches.

    Attributes:
        vectors: shape (n, d), each of length 1.
        tokens: shape (n, r c, width): what local features are made of.
        attention: shape (n, r c), ≥ 0: how much each patch counts.
        rows, columns: shape (1,), int64.
    """

    vectors: str
    tokens: str
    attention: str
    rows: str
    columns: str


def add_image_encoder(layers: Layers, pixels: str, most: int) -> Written:
    """Add everything from float32 crops, shape (n, h, w, 3), 0 to 255, to the outputs.

    Args:
        most: patches along a side of any crop.
    """
    graph, spec = layers.graph, layers.spec
    rows, columns = (patches_along(layers, pixels, axis) for axis in (1, 2))
    tokens = embedded(layers, pixels, rows, columns, most)
    if "pre.g" in layers.weights:
        tokens = layers.normalised(tokens, "pre")
    turned = rotation(layers, rows, columns, n_prefix(layers.weights)) if spec.rope else None
    last = spec.blocks - 1
    for number in range(last):
        tokens = block(layers, tokens, number, turned)
    if spec.pool == "token":
        before = only_patches(layers, tokens)
        token, attention = class_token_block(layers, tokens, last, turned)
        vector = _post(layers, graph.add("Squeeze", token, graph.shape(1)))
        return Written(_output(layers, vector), before, attention, rows, columns)
    tokens = _post(layers, block(layers, tokens, last, turned))
    pool = attention_pool if spec.pool == "attention" else mean_pool
    vector, attention = pool(layers, tokens)
    vector = _output(layers, vector)
    return Written(vector, only_patches(layers, tokens), attention, rows, columns)


def _post(layers: Layers, tokens: str) -> str:
    return layers.normalised(tokens, "post") if "post.g" in layers.weights else tokens


def _output(layers: Layers, vector: str) -> str:
    """Project, where there is a projection, and scale to length 1."""
    graph, weights = layers.graph, layers.weights
    if "projection" in weights:
        vector = graph.add("MatMul", vector, graph.constant("projection", weights["projection"]))
        if "projection.b" in weights:
            bias = graph.constant("projection.b", weights["projection.b"])
            vector = graph.add("Add", vector, bias)
    length = graph.add("ReduceL2", vector, graph.shape(-1), keepdims=1)
    return graph.add("Div", vector, length)


def vit_model(
    spec: VitSpec,
    weights: Weights,
    served: Served,
    *,
    patches: PatchAxes | None = None,
    ranges: Ranges | None = None,
    levels: int = LEVELS,
) -> onnx.ModelProto:
    """Make a model with the inputs and outputs of `satchel.encode.encoder.Encoder`.

    Args:
        patches: makes local features an output.
        ranges: of layers' inputs, for int8.
        levels: of weights in int8, see `satchel.convert.vit.layers`.
    """
    graph = Graph()
    pixels = graph.add("Cast", INPUT, to=TensorProto.FLOAT)
    layers = Layers(graph, spec, weights, ranges, levels)
    written = add_image_encoder(layers, pixels, served.most)
    graph.add("Identity", written.vectors, output=OUTPUTS[0])
    _add_saliency(graph, written, served.along)
    dimension = len(weights["projection"].T) if "projection" in weights else spec.width
    outputs = [
        helper.make_tensor_value_info(OUTPUTS[0], TensorProto.FLOAT, ["n", dimension]),
        helper.make_tensor_value_info(OUTPUTS[1], TensorProto.FLOAT, ["n", *2 * (served.along,)]),
    ]
    if patches is not None:
        outputs += add_patches(graph, written.tokens, written.attention, patches, served.kept)
    return model_of(graph, outputs)


def _add_saliency(graph: Graph, written: Written, cells: int) -> None:
    """Add the saliency map, of `cells` a side whatever a crop's shape: those of a batch fit."""
    count = graph.add("Shape", written.attention, end=1)
    one = graph.shape(1)
    grid = graph.add("Concat", count, one, written.rows, written.columns, axis=0)
    found = graph.add("Reshape", written.attention, grid)
    sizes = graph.add("Concat", count, one, graph.shape(cells, cells), axis=0)
    found = graph.add("Resize", found, "", "", sizes, mode="linear")
    graph.add("Squeeze", found, one, output=OUTPUTS[1])


def model_of(graph: Graph, outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """Make a model of a graph whose input is uint8 crops."""
    crops = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", "height", "width", 3])
    made = helper.make_graph(
        graph.nodes, "image encoder", [crops], outputs, list(graph.tensors.values())
    )
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)],
        ir_version=IR_VERSION,
    )
