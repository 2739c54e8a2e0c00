"""Writing ONNX graphs, one named node after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper


@dataclass
class Graph:
    """An ONNX graph that is being written: each method returns the name of what it added."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    prefix: str = ""
    """Of all names that are not outputs: a graph that is added to another needs its own."""

    def constant(self, name: str, value: npt.NDArray[Any] | np.generic) -> str:
        """Add a tensor; equal names are the same tensor."""
        name = self.prefix + name
        self.tensors.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def shape(self, *sides: int) -> str:
        """Add a tensor of whole numbers."""
        return self.constant("shape_" + "_".join(map(str, sides)), np.array(sides, np.int64))

    def add(self, kind: str, *inputs: str, output: str = "", **options: Any) -> str:
        """Add a node of one output."""
        name = output or f"{self.prefix}{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **options))
        return name

    def add_two(self, kind: str, *inputs: str, **options: Any) -> tuple[str, str]:
        """Add a node of two outputs."""
        first = f"{self.prefix}{kind}_{len(self.nodes)}"
        names = (first, f"{first}_second")
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=first, **options))
        return names

    def split(self, whole: str, parts: int) -> list[str]:
        """Divide the last axis into equal parts."""
        names = [f"Split_{len(self.nodes)}_{part}" for part in range(parts)]
        self.nodes.append(
            helper.make_node("Split", [whole], names, name=names[0], axis=-1, num_outputs=parts)
        )
        return names
