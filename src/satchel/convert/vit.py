"""Image encoders of the ViT family → an ONNX graph that is fast on processors.

One writer for all of them: CLIP and TinyCLIP, SigLIP and SigLIP 2, PE-Core, DINOv2.

- What a photo's colours are reduced by is part of the patches' weights: the input is bytes.
- Crops may have any sides that are whole multiples of the patch: learned positions are resampled
  from the grid that the model was trained with, rotary ones are computed.
- Where the class token is the output, the last block computes it alone: nothing else of it is read.
- Attention pooling takes the learned query into the keys' weights, and the values' weights behind
  the sum over tokens: both are linear, so it costs next to nothing.
- Local features are the patches with the most attention, in their first principal axes.

With ranges, layers are computed in int8: inputs have fixed scales, so that a photo's vector does
not depend on its neighbours in a batch; those of the second layer of each MLP, whose tokens differ
most, are divided by each token's maximum.

The graph uses operators that ONNX Runtime has fused forms of (domain `com.microsoft`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from satchel.arrays import Floats
from satchel.convert.onnx_graph import Graph
from satchel.convert.spec import Activation, VitSpec, Weights
from satchel.encode.crops import LEAST_PATCHES, CropShape
from satchel.encode.encoder import INPUT, OUTPUTS, PATCH_OUTPUTS

CONTRIB: Final = "com.microsoft"
OPSET: Final = 18
IR_VERSION: Final = 9
QUICK: Final = 1.702
"""QuickGELU's: x × sigmoid(1.702 x)."""

LEAST_GELU: Final[Mapping[Activation, float]] = {
    "quick_gelu": -0.1640,  # its minimum is -0.1636, at x = -0.751
    "gelu": -0.1701,
    "gelu_tanh": -0.1701,
}
"""Lower bounds of activations."""

ROPE_OFFSET: Final = 1.0
ROPE_BASE: Final = 10_000.0

KEPT: Final = 64
"""Local features of a photo, those with the most attention; the others are mostly background."""

LARGEST: Final = 127

Ranges = Mapping[str, tuple[float, float]]
"""By layer: least and greatest input value; values beyond are clipped."""


@dataclass(frozen=True, slots=True)
class Served:
    """The crops that a model is served with.

    Attributes:
        side_px: of a square one; a whole multiple of the patch.
        patch_px: of the model.
    """

    side_px: int
    patch_px: int

    @property
    def along(self) -> int:
        """Patches along a side of a square crop."""
        return self.side_px // self.patch_px

    @property
    def any_shape(self) -> bool:
        """Whether crops keep a photo's proportions: there are patches enough for it."""
        return self.along >= LEAST_PATCHES

    @property
    def most(self) -> int:
        """Most patches along a side of any crop."""
        return max(self.along, self.along**2 // LEAST_PATCHES)

    @property
    def kept(self) -> int:
        """Local features of a photo: `KEPT`, or as many patches as the smallest crop has."""
        if not self.any_shape:
            return min(KEPT, self.along**2)
        shape, sides = CropShape(self.side_px, self.patch_px), range(LEAST_PATCHES, KEPT)
        grids = ((rows, columns) for rows in sides for columns in sides if rows * columns < KEPT)
        # A grid that is not the best for its own proportions is the best for no others.
        patches = self.patch_px
        cut = [r * c for r, c in grids if shape.fitting(r, c) == (r * patches, c * patches)]
        return min([KEPT, *cut])


def resampling(trained: int, most: int) -> Floats:
    """Resampling of positions of a side to n, for n up to `most`.

    Cubic, without a low-pass filter, as the grids that are served are not much coarser.

    Returns:
        shape (`most` + 1, `most`, `trained`); of [n] the first n rows, others are zero.
    """
    tables = np.zeros((most + 1, most, trained), np.float32)
    each = np.eye(trained, dtype=np.float32)
    for count in range(1, most + 1):
        tables[count, :count] = cv2.resize(each, (trained, count), interpolation=cv2.INTER_CUBIC)
    return tables


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


@dataclass
class VitWriter:
    """Writes an image encoder into a graph: in int8 where ranges are known, in float32 without.

    Attributes:
        most: patches along a side of any crop.
        inputs: by layer, the name of what goes in: what ranges are measured on.
    """

    graph: Graph
    spec: VitSpec
    weights: Weights
    most: int
    ranges: Ranges | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    _rotation: tuple[str, str, str] | None = None

    def write(self, pixels: str) -> Written:
        """Add everything from float32 crops, shape (n, h, w, 3), 0 to 255, to the outputs."""
        graph, spec = self.graph, self.spec
        rows, columns = (self._patches_along(pixels, axis) for axis in (1, 2))
        tokens = self._tokens(pixels, rows, columns)
        if "pre.g" in self.weights:
            tokens = self._normalised(tokens, "pre")
        if spec.rope:
            self._rotation = self._rotary(rows, columns)
        for block in range(spec.blocks - 1):
            tokens = self._block(tokens, block)[0]
        last = spec.blocks - 1
        if spec.pool == "token":
            before = self._patches(tokens)
            token, attention = self._block(tokens, last, class_token=True)
            assert attention is not None  # the class token's
            vector = self._post(graph.add("Squeeze", token, graph.shape(1)))
            return Written(self._output(vector), before, attention, rows, columns)
        tokens = self._post(self._block(tokens, last)[0])
        if spec.pool == "attention":
            vector, attention = self._attention_pool(tokens)
        else:
            kept = self._patches(tokens)
            vector = graph.add("ReduceMean", kept, graph.shape(1), keepdims=0)
            attention = graph.add("ReduceL2", kept, graph.shape(-1), keepdims=0)
            if "fc.g" in self.weights:
                vector = self._normalised(vector, "fc")
        return Written(self._output(vector), self._patches(tokens), attention, rows, columns)

    # -- tokens ------------------------------------------------------------------------------------

    @property
    def _before(self) -> int:
        """Tokens before the patches."""
        return len(self.weights.get("prefix", ()))

    def _tokens(self, pixels: str, rows: str, columns: str) -> str:
        """Patches → tokens; the photo's mean and spread are part of the patches' weights."""
        graph, spec = self.graph, self.spec
        patch, colours = graph.shape(spec.patch_px), graph.shape(3)
        places = (graph.shape(-1), rows, patch, columns, patch, colours)
        cut = graph.add("Reshape", pixels, graph.add("Concat", *places, axis=0))
        cut = graph.add("Transpose", cut, perm=[0, 1, 3, 2, 4, 5])
        count = graph.add("Shape", pixels, end=1)
        flat = graph.add("Concat", count, graph.shape(-1, spec.patch_px**2 * 3), axis=0)
        cut = graph.add("Reshape", cut, flat)
        mean, std = (np.array(one, np.float32) for one in (spec.mean, spec.std))
        kernel = self.weights["patch"].transpose(2, 3, 1, 0)  # rows, columns, colours, channels
        scale = (kernel / (255 * std)[None, None, :, None]).reshape(-1, spec.width)
        shift = (kernel * (mean / std)[None, None, :, None]).sum((0, 1, 2))
        shift = shift - self.weights.get("patch.b", np.float32(0))
        patches = graph.add("MatMul", cut, graph.constant("patch", scale.astype(np.float32)))
        patches = graph.add("Add", patches, self._positions(rows, columns, shift))
        if not self._before:
            return patches
        spread = graph.add("Concat", count, graph.shape(self._before, spec.width), axis=0)
        first = graph.constant("class", self.weights["prefix"][None])
        return graph.add("Concat", graph.add("Expand", first, spread), patches, axis=1)

    def _patches_along(self, pixels: str, axis: int) -> str:
        found = self.graph.add("Shape", pixels, start=axis, end=axis + 1)
        return self.graph.add("Div", found, self.graph.shape(self.spec.patch_px))

    def _patches(self, tokens: str) -> str:
        """The patches among the tokens."""
        if not self._before:
            return tokens
        graph = self.graph
        start, end, axis = graph.shape(self._before), graph.shape(1 << 31), graph.shape(1)
        return graph.add("Slice", tokens, start, end, axis)

    def _positions(self, rows: str, columns: str, shift: Floats) -> str:
        """Positions, less the photo's mean; shape (rows × columns, width).

        By two products, since ONNX Runtime takes 14 ms for a cubic `Resize` of CLIP's.
        """
        graph, grid, width = self.graph, self.spec.grid, self.spec.width
        trained = (self.weights["position"] - shift).astype(np.float32).reshape(grid, grid * width)
        tables = graph.constant("resampling", resampling(grid, self.most))
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
        placed = graph.add("Reshape", placed, graph.shape(-1, grid, width))
        return graph.add("Reshape", graph.add("MatMul", along, placed), graph.shape(-1, width))

    def _rotary(self, rows: str, columns: str) -> tuple[str, str, str]:
        """Cosines and sines of a token's place, shape (tokens, head / 2), and the first place.

        Axial: a quarter of a head's width turns with the column, the next with the row, counted as
        in the grid that the model was trained with. Tokens before the patches do not turn.
        """
        graph, spec = self.graph, self.spec
        bands = spec.width // spec.heads // 4
        speeds = (ROPE_BASE ** -(np.arange(bands) / bands)).astype(np.float32)
        down, along = (self._angles(count, speeds) for count in (rows, columns))
        places = graph.add("Concat", rows, columns, graph.shape(bands), axis=0)
        angles = graph.add(
            "Concat",
            graph.add("Expand", graph.add("Unsqueeze", along, graph.shape(0)), places),
            graph.add("Expand", graph.add("Unsqueeze", down, graph.shape(1)), places),
            axis=2,
        )
        angles = graph.add("Reshape", angles, graph.shape(-1, 2 * bands))
        still = graph.constant("still", np.zeros((self._before, 2 * bands), np.float32))
        angles = graph.add("Concat", still, angles, axis=0)
        start = graph.constant("first_place", np.zeros(1, np.int64))
        return start, graph.add("Cos", angles), graph.add("Sin", angles)

    def _angles(self, count: str, speeds: Floats) -> str:
        """Angles of n places along a side; shape (n, bands)."""
        graph = self.graph
        whole = graph.add("Squeeze", count, graph.shape(0))
        zero, one = (graph.constant(f"number_{i}", np.int64(i)) for i in (0, 1))
        places = graph.add("Cast", graph.add("Range", zero, whole, one), to=TensorProto.FLOAT)
        places = graph.add("Add", places, graph.constant("offset", np.float32(ROPE_OFFSET)))
        scale = graph.add(
            "Div",
            graph.constant("trained_grid", np.array([self.spec.grid], np.float32)),
            graph.add("Cast", count, to=TensorProto.FLOAT),
        )
        places = graph.add("Unsqueeze", graph.add("Mul", places, scale), graph.shape(1))
        return graph.add("Mul", places, graph.constant("speeds", speeds[None]))

    # -- blocks ------------------------------------------------------------------------------------

    def _block(
        self, tokens: str, block: int, *, class_token: bool = False
    ) -> tuple[str, str | None]:
        """Add one block; with `class_token` for it alone, and with its attention to patches."""
        graph, spec = self.graph, self.spec
        query, key, value = graph.split(
            self._linear(self._normalised(tokens, f"{block}.ln1"), f"{block}.qkv"), 3
        )
        attention = None
        if class_token:  # it is the first, and does not turn
            query, tokens = (self._first(one) for one in (query, tokens))
            attention = self._attention(query, key)
        elif self._rotation:
            query, key = (self._rotated(one) for one in (query, key))
        seen = graph.add(
            "MultiHeadAttention", query, key, value, domain=CONTRIB, num_heads=spec.heads
        )
        tokens = graph.add("Add", tokens, self._linear(seen, f"{block}.out"))
        hidden = self._linear(self._normalised(tokens, f"{block}.ln2"), f"{block}.fc1")
        hidden = self._activated(hidden)
        return graph.add("Add", tokens, self._by_token(hidden, f"{block}.fc2")), attention

    def _rotated(self, values: str) -> str:
        assert self._rotation is not None
        return self.graph.add(
            "RotaryEmbedding",
            values,
            *self._rotation,
            domain=CONTRIB,
            interleaved=1,
            num_heads=self.spec.heads,
        )

    def _activated(self, values: str) -> str:
        if self.spec.activation == "quick_gelu":
            return self.graph.add("QuickGelu", values, domain=CONTRIB, alpha=QUICK)
        kind = "Gelu" if self.spec.activation == "gelu" else "FastGelu"
        return self.graph.add(kind, values, domain=CONTRIB)

    def _first(self, tokens: str) -> str:
        zero, one = self.graph.shape(0), self.graph.shape(1)
        return self.graph.add("Slice", tokens, zero, one, one)

    def _attention(self, query: str, key: str) -> str:
        """How much the class token attends to each patch, mean of the heads; (n, patches)."""
        graph, heads = self.graph, self.spec.heads
        each = self.spec.width // heads
        query, key = (
            graph.add("Reshape", one, graph.shape(0, -1, heads, each)) for one in (query, key)
        )
        query = graph.add("Transpose", query, perm=[0, 2, 1, 3])
        key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
        scale = graph.constant("scale", np.float32(each**-0.5))
        likeness = graph.add("Mul", graph.add("MatMul", query, key), scale)
        shares = graph.add("Softmax", likeness, axis=-1)
        return self._patches(graph.add("ReduceMean", shares, graph.shape(1, 2), keepdims=0))

    def _attention_pool(self, tokens: str) -> tuple[str, str]:
        """Pool tokens by a learned query; and how much it attends to each patch."""
        graph, spec, weights = self.graph, self.spec, self.weights
        heads, each = spec.pool_heads, spec.width // spec.pool_heads
        query = weights["pool.query"].reshape(heads, each) * each**-0.5
        keys = np.einsum(
            "whd,hd->wh", weights["pool.key.w"].reshape(spec.width, heads, each), query
        )
        scores = graph.add("MatMul", tokens, graph.constant("pool.keys", keys.astype(np.float32)))
        shares = graph.add("Softmax", scores, axis=1)
        attention = self._patches(graph.add("ReduceMean", shares, graph.shape(2), keepdims=0))
        pooled = graph.add("MatMul", graph.add("Transpose", shares, perm=[0, 2, 1]), tokens)
        values = weights["pool.value.w"].reshape(spec.width, heads, each).transpose(1, 0, 2)
        pooled = graph.add(
            "MatMul",
            graph.add("Unsqueeze", pooled, graph.shape(2)),
            graph.constant("pool.values", np.ascontiguousarray(values)),
        )
        pooled = graph.add("Reshape", pooled, graph.shape(0, spec.width))
        pooled = graph.add("Add", pooled, graph.constant("pool.value.b", weights["pool.value.b"]))
        vector = self._plain(pooled, "pool.out")
        hidden = self._activated(self._plain(self._normalised(vector, "pool.ln"), "pool.fc1"))
        return graph.add("Add", vector, self._plain(hidden, "pool.fc2")), attention

    # -- output ------------------------------------------------------------------------------------

    def _post(self, tokens: str) -> str:
        return self._normalised(tokens, "post") if "post.g" in self.weights else tokens

    def _output(self, vector: str) -> str:
        """Project, where there is a projection, and scale to length 1."""
        graph, weights = self.graph, self.weights
        if "projection" in weights:
            projection = graph.constant("projection", weights["projection"])
            vector = graph.add("MatMul", vector, projection)
            if "projection.b" in weights:
                bias = graph.constant("projection.b", weights["projection.b"])
                vector = graph.add("Add", vector, bias)
        length = graph.add("ReduceL2", vector, graph.shape(-1), keepdims=1)
        return graph.add("Div", vector, length)

    # -- layers ------------------------------------------------------------------------------------

    def _normalised(self, values: str, name: str) -> str:
        scale, shift = (
            self.graph.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in "gb"
        )
        return self.graph.add(
            "LayerNormalization", values, scale, shift, axis=-1, epsilon=self.spec.epsilon
        )

    def _by_token(self, values: str, name: str) -> str:
        """A linear layer whose tokens are first divided by their maximum, or by 1 if that is less.

        So that they lie between `LEAST_GELU` and 1.
        """
        graph = self.graph
        if self.ranges is None:
            return self._linear(values, name)
        greatest = graph.add("ReduceMax", values, graph.shape(-1), keepdims=1)
        greatest = graph.add("Max", greatest, graph.constant("one", np.float32(1)))
        found = self._linear(graph.add("Div", values, greatest), name, biased=False)
        bias = graph.constant(f"{name}.b", self.weights[f"{name}.b"])
        return graph.add("Add", graph.add("Mul", found, greatest), bias)

    def _plain(self, values: str, name: str) -> str:
        """A linear layer in float32."""
        graph, weights = self.graph, self.weights
        found = graph.add("MatMul", values, graph.constant(f"{name}.w", weights[f"{name}.w"]))
        return graph.add("Add", found, graph.constant(f"{name}.b", weights[f"{name}.b"]))

    def _linear(self, values: str, name: str, *, biased: bool = True) -> str:
        """A linear layer, in int8 where its range is known."""
        self.inputs[name] = values
        if self.ranges is None:
            return self._plain(values, name)
        weight, graph = self.weights[f"{name}.w"], self.graph
        bias = [graph.constant(f"{name}.b", self.weights[f"{name}.b"])] if biased else []
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


# -- models ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PatchAxes:
    """The space of local features.

    Attributes:
        centre: shape (width,): mean of the tokens.
        axes: shape (width, e): their first principal axes.
    """

    centre: Floats
    axes: Floats


def vit_model(
    spec: VitSpec,
    weights: Weights,
    served: Served,
    *,
    patches: PatchAxes | None = None,
    ranges: Ranges | None = None,
) -> onnx.ModelProto:
    """Make a model with the inputs and outputs of `satchel.encode.encoder.Encoder`.

    Args:
        patches: makes local features an output.
        ranges: of layers' inputs, for int8.
    """
    graph = Graph()
    writer = VitWriter(graph, spec, weights, served.most, ranges)
    written = writer.write(graph.add("Cast", INPUT, to=TensorProto.FLOAT))
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
