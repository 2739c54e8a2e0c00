"""Tiny detectors as ONNX files, for tests of everything around a detector."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from satchel.locate.card import LocatorCard
from satchel.onnx_model import write_model

SIDE_PX = 64
HALVES = ((0, 0, SIDE_PX // 2, SIDE_PX), (SIDE_PX // 2, 0, SIDE_PX, SIDE_PX))
"""Boxes of the left and the right half of the input, in pixels."""

COLOURS = ("red", "green", "blue")


def graph_model(
    nodes: Sequence[Any],
    outputs: dict[str, Sequence[int | str]],
    constants: dict[str, Any],
    *,
    side_px: int = SIDE_PX,
    type_in: int = TensorProto.FLOAT,
) -> bytes:
    """A model of these nodes, from `images` to `outputs`."""
    graph = helper.make_graph(
        list(nodes),
        "stub",
        [helper.make_tensor_value_info("images", type_in, [1, 3, side_px, side_px])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in outputs.items()
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


@cache
def halves_model() -> bytes:
    """Two boxes, the halves of the input; their scores are their mean red, green and blue."""
    half = [SIDE_PX, SIDE_PX // 2]
    return graph_model(
        [
            helper.make_node("AveragePool", ["images"], ["mean"], kernel_shape=half, strides=half),
            helper.make_node("Squeeze", ["mean", "rows"], ["flat"]),
            helper.make_node("Transpose", ["flat"], ["turned"], perm=[0, 2, 1]),
            helper.make_node("Div", ["turned", "most"], ["scores"]),
            helper.make_node("Identity", ["halves"], ["boxes"]),
        ],
        {"boxes": [1, 2, 4], "scores": [1, 2, 3]},
        {
            "rows": np.array([2], np.int64),
            "most": np.float32(255),
            "halves": np.array([HALVES], np.float32),
        },
    )


def constant_model(side_px: int = SIDE_PX, **outputs: np.ndarray) -> bytes:
    """A model that always gives these arrays."""
    return graph_model(
        [helper.make_node("Identity", [f"{name}_value"], [name]) for name in outputs],
        {name: value.shape for name, value in outputs.items()},
        {f"{name}_value": value.astype(np.float32) for name, value in outputs.items()},
        side_px=side_px,
    )


def card_of(model: bytes, **fields: Any) -> LocatorCard:
    """A card of a model; by default of `halves_model`."""
    return LocatorCard(
        **{
            "name": "stub",
            "file": "stub.onnx",
            "sha256": hashlib.sha256(model).hexdigest(),
            "layout": "boxes_scores",
            "height_px": SIDE_PX,
            "width_px": SIDE_PX,
            "class_names": COLOURS,
            "pad_value": 0,
            **fields,
        }
    )


def write_detector(folder: Path, model: bytes | None = None, **fields: Any) -> Path:
    """Write a detector, by default `halves_model`, and return the path of its card."""
    model = model or halves_model()
    path = folder / "stub.json"
    write_model(path, card_of(model, **fields), model)
    return path
