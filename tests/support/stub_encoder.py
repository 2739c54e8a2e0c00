"""A tiny encoder as an ONNX file, for tests of everything around the encoder.

A crop of 32 × 32 pixels is averaged to 8 × 8 cells; what differs from the mean of its top and
bottom rows is the embedding (192 numbers) and, summed over the channels, the saliency map. It tells
drawn shapes on a plain background apart, takes no time, and never changes when shipped weights do.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from satchel.config import FILE_NAME, with_setting
from satchel.encode.card import EncoderCard, read_card, uncalibrated
from satchel.encode.encoder import INPUT, OUTPUTS, Encoder
from satchel.encode.fit import EncoderFit, write_fit
from satchel.encode.registry import CARD, serve_model
from satchel.locate.rules import SALIENCY
from satchel.onnx_model import write_model
from satchel.workspace import Workspace

NAME = "stub"
CROWDED = "crowded"
"""Name of the stub with something in common to all vectors."""
SIDE_PX = 32
CELLS = 8
DIMENSION = 3 * CELLS * CELLS


@cache
def stub_model(common: float = 0.0) -> bytes:
    """The model's bytes, equal on every machine.

    Args:
        common: length of what all vectors have in common, in a direction of its own, against the
            rest: distances are 1 + common² times as small.
    """
    constants = {
        "scale": np.float32(255),
        "edges": np.array([0, CELLS - 1], np.int64),
        "sides": np.array([2, 3], np.int64),
        "channels": np.array([1], np.int64),
        "flat": np.array([0, -1], np.int64),
        "least": np.float32(1e-6),
    }
    nodes = [
        helper.make_node("Cast", [INPUT], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool",
            ["planes"],
            ["cells"],
            kernel_shape=[SIDE_PX // CELLS] * 2,
            strides=[SIDE_PX // CELLS] * 2,
        ),
        helper.make_node("Gather", ["cells", "edges"], ["border"], axis=2),
        helper.make_node("ReduceMean", ["border", "sides"], ["background"], keepdims=1),
        helper.make_node("Sub", ["cells", "background"], ["object"]),
        helper.make_node("Abs", ["object"], ["strength"]),
        helper.make_node("ReduceSum", ["strength", "channels"], [OUTPUTS[1]], keepdims=0),
        helper.make_node("Reshape", ["object", "flat"], ["row"]),
        helper.make_node("ReduceL2", ["row", "channels"], ["norm"], keepdims=1),
        helper.make_node("Max", ["norm", "least"], ["length"]),
        helper.make_node("Div", ["row", "length"], [OUTPUTS[0] if not common else "plain"]),
    ]
    if common:
        constants |= {
            "more": np.array([0, 0, 0, 1], np.int64),
            "common": np.float32(common),
            "longer": np.float32(np.sqrt(1 + common**2)),
        }
        nodes += [
            helper.make_node("Pad", ["plain", "more", "common"], ["padded"]),
            helper.make_node("Div", ["padded", "longer"], [OUTPUTS[0]]),
        ]
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", SIDE_PX, SIDE_PX, 3])],
        [
            helper.make_tensor_value_info(
                OUTPUTS[0], TensorProto.FLOAT, ["n", DIMENSION + bool(common)]
            ),
            helper.make_tensor_value_info(OUTPUTS[1], TensorProto.FLOAT, ["n", CELLS, CELLS]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def stub_card(common: float = 0.0) -> EncoderCard:
    """Its card, with the confidence of the encoder that ships; with a common part, none."""
    return EncoderCard(
        name=NAME if not common else CROWDED,
        file="model.onnx",
        sha256=hashlib.sha256(stub_model(common)).hexdigest(),
        architecture="8 × 8 mean colours",
        weights="none",
        licence="Apache-2.0",
        input_side_px=SIDE_PX,
        preprocessing="inside the model",
        dimension=DIMENSION + bool(common),
        n_passes=1,
        parity="exact",
        recipe="tests/support/stub_encoder.py",
        confidence=uncalibrated() if common else read_card().confidence,
    )


def stub_encoder() -> Encoder:
    """Load it."""
    return Encoder(stub_card(), stub_model(), threads=1)


def serve_stub(workspace: Workspace) -> Workspace:
    """Let a workspace answer with it, and its saliency locate."""
    folder: Path = workspace.models / NAME
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / CARD, stub_card(), stub_model())
    serve_model(workspace.models, NAME)
    # As if measured: thresholds are the built-in encoder's, which need not be loaded.
    measured = EncoderFit(photos=1_000_000, queries=1_000_000)
    write_fit(workspace.models, stub_card().sha256, measured)
    return by_saliency(workspace)


def add_crowded(workspace: Workspace, common: float) -> None:
    """Add the stub whose vectors have much in common, as `satchel encoder add` adds encoders."""
    folder: Path = workspace.models / CROWDED
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / CARD, stub_card(common), stub_model(common))


def by_saliency(workspace: Workspace) -> Workspace:
    """Let the encoder's saliency locate, in place of the built-in detector."""
    saliency = workspace.settings.locate.model_copy(update={"model": SALIENCY})
    changed = workspace.settings.model_copy(update={"locate": saliency})
    path = workspace.folder / FILE_NAME
    path.write_text(with_setting(path, "locate", "model", SALIENCY, expected=changed))
    return Workspace.open(workspace.folder)
