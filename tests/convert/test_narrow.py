"""Weights stored in fewer bits give what the network gave, from a smaller file."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("onnx", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from onnx import ModelProto, TensorProto, helper, numpy_helper

from satchel.convert.narrow import LEAST_NARROWED, halve_weights, int8_weights

CHANNELS = 32


def convolutions() -> ModelProto:
    """Two convolutions, the second one small; channels of the first differ in size by far."""
    rng = np.random.default_rng(0)
    spread = np.logspace(-3, 1, CHANNELS, dtype=np.float32)[:, None, None, None]
    big = rng.normal(size=(CHANNELS, 3, 5, 5)).astype(np.float32) * spread
    big[3] = 0
    small = rng.normal(size=(2, CHANNELS, 1, 1)).astype(np.float32) / spread.reshape(1, -1, 1, 1)
    assert big.size >= LEAST_NARROWED > small.size
    sides = [1, 3, 16, 16]
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Conv", ["in", "big"], ["mid"], pads=[2, 2, 2, 2]),
                helper.make_node("Conv", ["mid", "small"], ["out"]),
            ],
            "test",
            [helper.make_tensor_value_info("in", TensorProto.FLOAT, sides)],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2, 16, 16])],
            [numpy_helper.from_array(big, "big"), numpy_helper.from_array(small, "small")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def run(model: ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    pixels = np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype(np.float32)
    return np.asarray(session.run(None, {"in": pixels})[0])


@pytest.mark.parametrize(
    ("narrowed", "share", "off"), [(int8_weights, 0.4, 0.02), (halve_weights, 0.6, 1e-3)]
)
def test_a_smaller_file_computes_nearly_the_same(narrowed, share: float, off: float) -> None:
    whole = convolutions()
    expected, size = run(whole), len(whole.SerializeToString())
    model = narrowed(convolutions())
    assert len(model.SerializeToString()) < share * size
    found = run(model)
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() < off * np.abs(expected).max()
    kept = {one.name: one.data_type for one in model.graph.initializer}
    assert kept["small"] == TensorProto.FLOAT
