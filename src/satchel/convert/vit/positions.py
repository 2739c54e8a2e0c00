"""Where patches are: learned positions, resampled to a crop's grid, and rotary ones, computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from onnx import TensorProto

from satchel.arrays import Floats
from satchel.convert.vit.layers import CONTRIB, Layers

ROPE_OFFSET: Final = 1.0
ROPE_BASE: Final = 10_000.0


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


def learned_positions(layers: Layers, rows: str, columns: str, shift: Floats, most: int) -> str:
    """Learned positions, less `shift`; shape (rows × columns, width).

    By two products, since ONNX Runtime takes 14 ms for a cubic `Resize` of CLIP's.

    Args:
        shift: the photo's mean, shape (width,).
        most: patches along a side of any crop.
    """
    graph, grid, width = layers.graph, layers.spec.grid, layers.spec.width
    trained = (layers.weights["position"] - shift).astype(np.float32).reshape(grid, grid * width)
    tables = graph.constant("resampling", resampling(grid, most))
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


@dataclass(frozen=True, slots=True)
class Rotation:
    """Names of how queries and keys turn with their places.

    Attributes:
        start: the first place, shape (1,).
        cosines, sines: of each token's place, shape (tokens, head / 2).
    """

    start: str
    cosines: str
    sines: str


def rotation(layers: Layers, rows: str, columns: str, before: int) -> Rotation:
    """Axial rotary positions.

    A quarter of a head's width turns with the column, the next with the row, counted as in the grid
    that the model was trained with. The `before` tokens that precede the patches do not turn.
    """
    graph, spec = layers.graph, layers.spec
    bands = spec.width // spec.heads // 4
    speeds = (ROPE_BASE ** -(np.arange(bands) / bands)).astype(np.float32)
    down, along = (_angles(layers, count, speeds) for count in (rows, columns))
    places = graph.add("Concat", rows, columns, graph.shape(bands), axis=0)
    angles = graph.add(
        "Concat",
        graph.add("Expand", graph.add("Unsqueeze", along, graph.shape(0)), places),
        graph.add("Expand", graph.add("Unsqueeze", down, graph.shape(1)), places),
        axis=2,
    )
    angles = graph.add("Reshape", angles, graph.shape(-1, 2 * bands))
    still = graph.constant("still", np.zeros((before, 2 * bands), np.float32))
    angles = graph.add("Concat", still, angles, axis=0)
    start = graph.constant("first_place", np.zeros(1, np.int64))
    return Rotation(start, graph.add("Cos", angles), graph.add("Sin", angles))


def _angles(layers: Layers, count: str, speeds: Floats) -> str:
    """Angles of n places along a side; shape (n, bands)."""
    graph = layers.graph
    whole = graph.add("Squeeze", count, graph.shape(0))
    zero, one = (graph.constant(f"number_{i}", np.int64(i)) for i in (0, 1))
    places = graph.add("Cast", graph.add("Range", zero, whole, one), to=TensorProto.FLOAT)
    places = graph.add("Add", places, graph.constant("offset", np.float32(ROPE_OFFSET)))
    scale = graph.add(
        "Div",
        graph.constant("trained_grid", np.array([layers.spec.grid], np.float32)),
        graph.add("Cast", count, to=TensorProto.FLOAT),
    )
    places = graph.add("Unsqueeze", graph.add("Mul", places, scale), graph.shape(1))
    return graph.add("Mul", places, graph.constant("speeds", speeds[None]))


def rotated(layers: Layers, values: str, by: Rotation) -> str:
    """Queries or keys, turned with their places."""
    return layers.graph.add(
        "RotaryEmbedding",
        values,
        by.start,
        by.cosines,
        by.sines,
        domain=CONTRIB,
        interleaved=1,
        num_heads=layers.spec.heads,
    )
