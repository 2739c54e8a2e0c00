"""The head of CLIP's image encoder: its layers after the last attention, for the class token alone.

It is read out of the built-in encoder's ONNX file, whose graph also exposes the head's inputs; an
adapted head is written back into the graph as an ensemble member of the built-in one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from satchel.adapt.clip_file import BLOCKS, EPSILON, stored_layer
from satchel.adapt.ensemble import concatenated
from satchel.arrays import Bytes, Floats, Halves
from satchel.convert.onnx_graph import Graph
from satchel.convert.vit.layers import CONTRIB, QUICK
from satchel.encode.card import EncoderCard
from satchel.encode.encoder import INPUT, OUTPUTS, saliency_output
from satchel.onnx_model import open_session

LAST: Final = f"{BLOCKS - 1}"
"""Prefix of names that belong to the last block."""

OWN: Final = "adapted/"
"""Prefix of names that belong to an adapted head."""

OWN_START: Final = "start/vectors"
"""Output of the built-in head, where there is an adapted one."""


class Head(torch.nn.Module):
    """Class token and its attention → vector of length 1.

    Attributes:
        projection: a linear map of the vector before it is scaled, which the built-in head lacks;
            None where it was not trained.
    """

    def __init__(self, width: int, hidden: int, *, projected: bool = False) -> None:
        super().__init__()
        self.out = torch.nn.Linear(width, width)
        self.ln2 = torch.nn.LayerNorm(width, eps=EPSILON)
        self.fc1 = torch.nn.Linear(width, hidden)
        self.fc2 = torch.nn.Linear(hidden, width)
        self.post = torch.nn.LayerNorm(width, eps=EPSILON)
        self.projection = torch.nn.Linear(width, width) if projected else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors, shape (n, d).

        Args:
            tokens: shape (n, 2, d): the class token as it enters the last block, and what the
                last attention gives for it.
        """
        token = tokens[:, 0] + self.out(tokens[:, 1])
        hidden = self.fc1(self.ln2(token))
        token = token + self.fc2(hidden * torch.sigmoid(QUICK * hidden))
        vectors = self.post(token)
        if self.projection is not None:
            vectors = self.projection(vectors)
        return torch.nn.functional.normalize(vectors, dim=1)


def head_like(tensors: Mapping[str, torch.Tensor]) -> Head:
    """Make a head of these weights, by the names of its `state_dict`."""
    hidden, width = tensors["fc1.weight"].shape
    head = Head(width, hidden, projected="projection.weight" in tensors)
    head.load_state_dict(tensors)
    head.eval()
    return head


def read_head(model: onnx.ModelProto) -> Head:
    """Read the built-in head out of a file of `recipes.clip_b16.recipe`, as float32."""
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    state = {}
    for layer in ("out", "fc1", "fc2"):
        name = f"{LAST}.{layer}"
        state[f"{layer}.weight"] = stored_layer(kept, name).T
        state[f"{layer}.bias"] = kept[f"{name}.b"]
    for layer, name in (("ln2", f"{LAST}.ln2"), ("post", "post")):
        state[f"{layer}.weight"], state[f"{layer}.bias"] = kept[f"{name}.g"], kept[f"{name}.b"]
    plain = {name: np.array(value, np.float32, order="C") for name, value in state.items()}
    return head_like({name: torch.from_numpy(value) for name, value in plain.items()})


def head_input_names(graph: onnx.GraphProto) -> tuple[str, str]:
    """Names of the head's inputs, each of shape (n, tokens, d), the class token first."""
    makers = {output: node for node in graph.node for output in node.output}
    out = next(node for node in graph.node if f"{LAST}.out.q" in node.input)
    attention = makers[out.input[0]].input[0]  # as it is before its quantisation
    added = next(n for n in graph.node if n.op_type == "Add" and out.output[0] in n.input)
    (token,) = (name for name in added.input if name != out.output[0])
    return token, attention


# -- the head's inputs -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeadInput:
    """Outputs of an encoder pass, and what went into its head.

    Attributes:
        vectors: shape (n, d), float32.
        saliency: shape (n, h, w), float32.
        tokens: shape (n, 2, d), float16, the type of the cache, so that both give equal results.
    """

    vectors: Floats
    saliency: Floats
    tokens: Halves


class TokenSource(Protocol):
    """Encodes crops up to the head of the built-in encoder."""

    @property
    def batch(self) -> int:
        """Crops of one forward pass."""

    def head_tokens(self, crops: Bytes) -> Halves:
        """Head inputs, shape (n, 2, d), of crops, shape (n, h, w, 3), uint8."""


class TokenEncoder:
    """The built-in encoder, with the head's inputs exposed. One thread a call."""

    batch: Final = 8

    def __init__(self, card: EncoderCard, model: onnx.ModelProto) -> None:
        self.card = card
        self._inputs = head_input_names(model.graph)
        self._saliency = saliency_output([output.name for output in model.graph.output])
        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        for name in self._inputs:
            exposed.graph.output.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            )
        self._session = open_session(exposed.SerializeToString(), card.file, threads=1)

    def head_inputs(self, crops: Bytes) -> HeadInput:
        """Run the model on crops, shape (n, side, side, 3), uint8."""
        names = [OUTPUTS[0], self._saliency, *self._inputs]
        vectors, saliency, *tokens = self._session.run(names, {INPUT: crops})
        return HeadInput(
            vectors, saliency, np.stack([t[:, 0] for t in tokens], 1).astype(np.float16)
        )

    def head_tokens(self, crops: Bytes) -> Halves:
        """As `TokenSource.head_tokens`."""
        return self.head_inputs(crops).tokens


# -- an ensemble of two heads ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdaptedHead:
    """An adapted head of the built-in encoder, and its ensemble weight; 1: it answers alone."""

    head: Head
    weight: float

    def ensemble_vectors(self, passed: HeadInput) -> Floats:
        """Vectors of both heads, shape (n, 2 d); of the adapted one alone, shape (n, d)."""
        with torch.inference_mode():
            adapted = self.head(torch.from_numpy(passed.tokens.astype(np.float32))).numpy()
        return adapted if self.weight == 1 else concatenated(passed.vectors, adapted, self.weight)


def with_head(model: onnx.ModelProto, head: Head, weight: float) -> onnx.ModelProto:
    """Add a head to the graph: `vectors` are then `satchel.adapt.ensemble.concatenated`.

    With the weight 1 they are the adapted head's alone.

    Every other output stays as it is. Weights are stored as float16 and computed in float32.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    renamed = {OUTPUTS[0]: OWN_START}
    for node in graph.node:
        node.name = renamed.get(node.name, node.name)
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    writer = _Writer(Graph(), head)
    vectors = writer.write(*head_input_names(graph))
    output = next(value for value in graph.output if value.name == OUTPUTS[0])
    if weight == 1:
        writer.graph.add("Identity", vectors, output=OUTPUTS[0])
    else:
        _concatenate(writer, vectors, weight)
        output.type.tensor_type.shape.dim[1].dim_value += head.post.normalized_shape[0]
    graph.node.extend(writer.graph.nodes)
    graph.initializer.extend(writer.graph.tensors.values())
    onnx.checker.check_model(made)
    return made


def _concatenate(writer: _Writer, vectors: str, weight: float) -> None:
    """Both heads' vectors, each by the root of its weight."""
    shares = (("start", OWN_START, 1 - weight), ("own", vectors, weight))
    parts = [
        writer.add("Mul", name, f"by/{part}", writer.constant(part, np.float32(math.sqrt(share))))
        for part, name, share in shares
    ]
    writer.graph.add("Concat", *parts, output=OUTPUTS[0], axis=1)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes a head into a graph, under names with its own prefix."""

    graph: Graph
    head: Head

    def write(self, token: str, attention: str) -> str:
        """Add the layers from `head_inputs` to unit vectors."""
        first = self.constant("first", np.array(0, np.int64))
        token, attended = (
            self.graph.add("Gather", name, first, output=f"{OWN}{part}", axis=1)
            for part, name in (("token", token), ("attention", attention))
        )
        token = self.add("Add", token, "with_attention", self._linear(attended, "out"))
        hidden = self._linear(self._normalised(token, "ln2"), "fc1")
        hidden = self.graph.add(
            "QuickGelu", hidden, output=f"{OWN}gelu", domain=CONTRIB, alpha=QUICK
        )
        token = self.add("Add", token, "with_hidden", self._linear(hidden, "fc2"))
        normalised = self._normalised(token, "post")
        if self.head.projection is not None:
            normalised = self._linear(normalised, "projection")
        last = self.constant("last", np.array([-1], np.int64))
        length = self.graph.add("ReduceL2", normalised, last, output=f"{OWN}length", keepdims=1)
        return self.add("Div", normalised, "vectors", length)

    def add(self, kind: str, value: str, name: str, other: str) -> str:
        """Add a node of two inputs."""
        return self.graph.add(kind, value, other, output=f"{OWN}{name}")

    def constant(self, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
        """Add a tensor."""
        return self.graph.constant(f"{OWN}{name}", value)

    def _tensor(self, name: str) -> Floats:
        tensor: Floats = self.head.state_dict()[name].numpy().astype(np.float32)
        return tensor

    def _linear(self, values: str, layer: str) -> str:
        half = self.constant(f"{layer}.f16", self._tensor(f"{layer}.weight").T.astype(np.float16))
        weight = self.graph.add("Cast", half, output=f"{OWN}{layer}.w", to=TensorProto.FLOAT)
        product = self.add("MatMul", values, f"{layer}.product", weight)
        bias = self.constant(f"{layer}.b", self._tensor(f"{layer}.bias"))
        return self.add("Add", product, f"{layer}.sum", bias)

    def _normalised(self, values: str, layer: str) -> str:
        scale, shift = (
            self.constant(f"{layer}.{part}", self._tensor(f"{layer}.{name}"))
            for part, name in (("g", "weight"), ("b", "bias"))
        )
        return self.graph.add(
            "LayerNormalization",
            values,
            scale,
            shift,
            output=f"{OWN}{layer}.normalised",
            axis=-1,
            epsilon=EPSILON,
        )
