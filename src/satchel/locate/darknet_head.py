"""Darknet's `[yolo]` layer: a map of numbers → boxes and scores.

J. Redmon, A. Farhadi, "YOLOv3: An Incremental Improvement", 2018. `scale_x_y` is of YOLOv4
(Bochkovskiy et al. 2020), `new_coords` of Scaled-YOLOv4 (C.-Y. Wang et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from satchel.arrays import Floats
from satchel.locate.darknet_cfg import Section
from satchel.locate.onnx_writer import GraphWriter


@dataclass(frozen=True, slots=True)
class Value:
    """A layer's output: its name in the graph, and its shape (1, channels, height, width)."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Head:
    """Names of a head's boxes, shape (1, rows, 4), and scores, shape (1, rows, classes)."""

    boxes: str
    scores: str
    rows: int


def add_head(
    writer: GraphWriter, layer: Section, map_: Value, classes: int, size_px: tuple[int, int]
) -> Head:
    """Add the decoding of a `[yolo]` layer to a graph.

    Boxes are x0 y0 x1 y1 in pixels of the input; a score is objectness × class.

    Args:
        map_: output of the layer before; for each anchor x, y, width, height, objectness, classes.
        size_px: height and width of the input.

    Raises:
        LocatorError: the layer's anchors are invalid, or the map has other channels.
    """
    anchors = _anchors(layer)
    if map_.channels != len(anchors) * (5 + classes):
        raise layer.fault(
            f"expected {len(anchors)} × (5 + {classes}) channels for {len(anchors)} anchors "
            f"and {classes} classes, the layer before has {map_.channels}"
        )
    node, ints = writer.node, writer.ints
    cells, rows = map_.height * map_.width, len(anchors) * map_.height * map_.width
    split = node("Reshape", map_.name, ints(len(anchors), 5 + classes, cells))
    turned = node("Transpose", split, perm=(0, 2, 1))
    table = node("Reshape", turned, ints(1, rows, 5 + classes))
    centre, size, objectness, scores = (
        node("Slice", table, ints(begin), ints(end), ints(2))
        for begin, end in pairwise((0, 2, 4, 5, 5 + classes))
    )
    if layer.integer("new_coords", 0, low=0, high=1):
        four = writer.constant(np.array(4, np.float32))
        size = node("Mul", node("Mul", size, size), four)
    else:
        centre, objectness, scores = (node("Sigmoid", one) for one in (centre, objectness, scores))
        size = node("Exp", size)
    half = node("Mul", size, writer.constant(_halves(anchors, cells)))
    factor, summand = map(writer.constant, _centre_scaling(layer, map_, len(anchors), size_px))
    middle = node("Add", node("Mul", centre, factor), summand)
    corners = node("Sub", middle, half), node("Add", middle, half)
    return Head(node("Concat", *corners, axis=2), node("Mul", scores, objectness), rows)


def _centre_scaling(
    layer: Section, map_: Value, anchors: int, size_px: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Factor and summand that turn centres into pixels of the input.

    (centre × scale − (scale − 1) / 2 + cell) × stride; shapes (2,) and (1, anchors × cells, 2).
    """
    scale = layer.numbers("scale_x_y", "1")[0]
    stride = np.array([size_px[1] / map_.width, size_px[0] / map_.height])
    y, x = np.mgrid[: map_.height, : map_.width].reshape(2, -1)
    cells = np.tile(np.stack([x, y], 1) - (scale - 1) / 2, (anchors, 1))
    return (stride * scale).astype(np.float32), (cells * stride)[None].astype(np.float32)


def _anchors(layer: Section) -> Floats:
    """Width and height in pixels of a head's anchors, shape (a, 2)."""
    count = layer.integer("num", 1, low=1, high=100)
    sizes = layer.numbers("anchors")
    if len(sizes) != 2 * count:
        raise layer.fault(
            f"expected {2 * count} numbers for num={count}, got {len(sizes)}", "anchors"
        )
    mask = layer.integers("mask", ",".join(map(str, range(count))))
    if not all(0 <= one < count for one in mask):
        raise layer.fault(f"expected anchors from 0 to {count - 1}, got {mask}", "mask")
    chosen: Floats = np.array(sizes, np.float32).reshape(-1, 2)[mask]
    return chosen


def _halves(anchors: Floats, cells: int) -> Floats:
    """Half of each anchor for each cell, shape (1, a × cells, 2)."""
    rows: Floats = np.repeat(anchors * np.float32(0.5), cells, axis=0)[None]
    return rows
