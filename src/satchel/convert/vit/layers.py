"""Layers that every part of an image encoder is made of: in int8 where ranges are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from satchel.convert.onnx_graph import Graph
from satchel.convert.spec import Activation, VitSpec, Weights

CONTRIB: Final = "com.microsoft"
QUICK: Final = 1.702
"""QuickGELU's: x × sigmoid(1.702 x)."""

LEAST_GELU: Final[Mapping[Activation, float]] = {
    "quick_gelu": -0.1640,  # its minimum is -0.1636, at x = -0.751
    "gelu": -0.1701,
    "gelu_tanh": -0.1701,
}
"""Lower bounds of activations."""

LEVELS: Final = 127
"""Steps that the largest weight of an output channel is, in int8."""

OFF_GRID: Final = 123
"""The same for weights that began as int8 and were trained by less than a step: with as many steps
as before, rounding would take the training back; with others its errors have nothing to do with
it."""

Ranges = Mapping[str, tuple[float, float]]
"""By layer: least and greatest input value; values beyond are clipped."""


@dataclass
class Layers:
    """Adds layers of an image encoder to a graph: each method returns the name of its values.

    Attributes:
        ranges: of layers' inputs, for int8; without, everything is in float32.
        levels: `LEVELS`, or `OFF_GRID`.
        inputs: by layer, the name of what goes in: what ranges are measured on.
    """

    graph: Graph
    spec: VitSpec
    weights: Weights
    ranges: Ranges | None = None
    levels: int = LEVELS
    inputs: dict[str, str] = field(default_factory=dict)

    def normalised(self, values: str, name: str) -> str:
        """A layer normalisation."""
        scale, shift = (
            self.graph.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in "gb"
        )
        return self.graph.add(
            "LayerNormalization", values, scale, shift, axis=-1, epsilon=self.spec.epsilon
        )

    def activated(self, values: str) -> str:
        """The activation between the two layers of an MLP."""
        if self.spec.activation == "quick_gelu":
            return self.graph.add("QuickGelu", values, domain=CONTRIB, alpha=QUICK)
        kind = "Gelu" if self.spec.activation == "gelu" else "FastGelu"
        return self.graph.add(kind, values, domain=CONTRIB)

    def plain(self, values: str, name: str) -> str:
        """A linear layer in float32."""
        graph, weights = self.graph, self.weights
        found = graph.add("MatMul", values, graph.constant(f"{name}.w", weights[f"{name}.w"]))
        return graph.add("Add", found, graph.constant(f"{name}.b", weights[f"{name}.b"]))

    def linear(self, values: str, name: str, *, biased: bool = True) -> str:
        """A linear layer, in int8 where its range is known."""
        self.inputs[name] = values
        if self.ranges is None:
            return self.plain(values, name)
        weight, graph = self.weights[f"{name}.w"], self.graph
        bias = [graph.constant(f"{name}.b", self.weights[f"{name}.b"])] if biased else []
        low, high = self.ranges[name]
        step = np.float32((high - low) / 255)
        scale = graph.constant(f"{name}.step", step)
        zero = graph.constant(f"{name}.zero", np.uint8(np.clip(round(-low / step), 0, 255)))
        steps = (np.abs(weight).max(0).clip(1e-8) / self.levels).astype(np.float32)
        whole = np.clip(np.round(weight / steps), -LEVELS, LEVELS).astype(np.int8)
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

    def by_token(self, values: str, name: str) -> str:
        """A linear layer whose tokens are first divided by their maximum, or by 1 if that is less.

        So that they lie between `LEAST_GELU` and 1.
        """
        graph = self.graph
        if self.ranges is None:
            return self.linear(values, name)
        greatest = graph.add("ReduceMax", values, graph.shape(-1), keepdims=1)
        greatest = graph.add("Max", greatest, graph.constant("one", np.float32(1)))
        found = self.linear(graph.add("Div", values, greatest), name, biased=False)
        bias = graph.constant(f"{name}.b", self.weights[f"{name}.b"])
        return graph.add("Add", graph.add("Mul", found, greatest), bias)
