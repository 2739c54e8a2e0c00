from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from satchel.locate.onnx_writer import GraphWriter


def written() -> bytes:
    """max(−1 × x + b, 0.25 leaky) over two axes, with every kind of attribute."""
    writer = GraphWriter()
    kernel = writer.constant(np.full((2, 3, 1, 1), -1, np.float32))
    bias = writer.constant(np.array([1, -2], np.float32))
    name = writer.node("Conv", "images", kernel, bias, kernel_shape=(1, 1), pads=(0, 0, 0, 0))
    name = writer.node("LeakyRelu", name, alpha=0.25)
    name = writer.node(
        "Resize",
        name,
        "",
        writer.constant(np.array([1, 1, 2, 2], np.float32)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    begin, end = writer.ints(-1), writer.ints(2**40)
    writer.node("Slice", name, begin, end, writer.ints(1), output="out")
    return writer.model({"images": (1, 3, 4, 4)}, {"out": (1, 1, 8, 8)}, producer="satchel")


def test_the_onnx_package_accepts_what_is_written() -> None:
    data = written()
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Conv", "LeakyRelu", "Resize", "Slice"]
    constants = [numpy_helper.to_array(one) for one in model.graph.initializer]
    assert constants[0].shape == (2, 3, 1, 1)
    assert constants[-3].tolist() == [-1]
    assert constants[-2].tolist() == [2**40]


def test_it_computes_what_it_says() -> None:
    session = ort.InferenceSession(written(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).random((1, 3, 4, 4), np.float32)
    (out,) = session.run(None, {"images": pixels})
    by_hand = -pixels.sum(1, keepdims=True) - 2
    by_hand = np.where(by_hand > 0, by_hand, 0.25 * by_hand).repeat(2, 2).repeat(2, 3)
    assert out == pytest.approx(by_hand, abs=1e-6)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5))
def test_ints_are_written_as_they_are(values: list[int]) -> None:
    writer = GraphWriter()
    writer.node("Transpose", "images", output="out", perm=values)
    data = writer.model({"images": (1,)}, {"out": (1,)}, producer="satchel")
    (node,) = onnx.load_from_string(data).graph.node
    assert list(node.attribute[0].ints) == values


def test_other_attributes_are_refused() -> None:
    with pytest.raises(TypeError, match="expected int, float, str or ints"):
        GraphWriter().node("Conv", "images", group=None)
