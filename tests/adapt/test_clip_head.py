"""The built-in encoder's head: against its formula, and the file that holds two of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conftest import SHAPES, draw
from satchel.encode.card import read_card
from satchel.encode.encoder import Encoder

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("onnx", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

import onnx
import torch

from satchel.adapt.clip_head import (
    AdaptedHead,
    Head,
    TokenEncoder,
    read_head,
    with_head,
)
from satchel.adapt.ensemble import concatenated
from satchel.adapt.pair_training import start_of
from shipped import shipped_model


@pytest.fixture(scope="module")
def base() -> onnx.ModelProto:
    return shipped_model()


@pytest.fixture(scope="module")
def tower(base: onnx.ModelProto) -> TokenEncoder:
    return TokenEncoder(read_card(), base)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    side = read_card().input_side_px
    drawn = [draw(shape, size_wh=(side, side)) for shape in SHAPES]
    return np.stack(drawn)


def changed(head: Head) -> Head:
    generator = torch.Generator().manual_seed(0)
    for value in head.parameters():
        value.data += 0.1 * value.data.std() * torch.randn(value.shape, generator=generator)
    return head


def by_hand(
    head: Head, token: np.ndarray, attention: np.ndarray, *, scaled: bool = True
) -> np.ndarray:
    """One vector before the projection, in float64, step by step."""
    w = {name: value.numpy().astype(np.float64) for name, value in head.state_dict().items()}

    def normalised(values: np.ndarray, name: str) -> np.ndarray:
        spread = np.sqrt(((values - values.mean()) ** 2).mean() + 1e-5)
        return (values - values.mean()) / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    token = token + w["out.weight"] @ attention + w["out.bias"]
    hidden = w["fc1.weight"] @ normalised(token, "ln2") + w["fc1.bias"]
    hidden = hidden / (1 + np.exp(-1.702 * hidden))
    found = normalised(token + w["fc2.weight"] @ hidden + w["fc2.bias"], "post")
    return found / np.linalg.norm(found) if scaled else found


def test_the_head_read_from_the_file_gives_the_files_vectors(
    base: onnx.ModelProto, tower: TokenEncoder, crops: np.ndarray, shipped_encoder: Encoder
) -> None:
    seen = tower.head_inputs(crops)
    look = shipped_encoder.encode(crops)
    assert np.array_equal(seen.vectors, look.vectors)
    assert np.allclose(seen.saliency, look.saliency, rtol=1e-5)
    head = read_head(base)
    with torch.inference_mode():
        own = head(torch.from_numpy(seen.tokens.astype(np.float32))).numpy()
    token, attention = seen.tokens[2].astype(np.float64)
    assert np.abs(own[2] - by_hand(head, token, attention)).max() < 1e-5
    assert (own * look.vectors).sum(1).min() > 0.999  # what int8 costs in the last layers


def test_both_heads_answer_side_by_side_and_all_else_stays(
    base: onnx.ModelProto, tower: TokenEncoder, crops: np.ndarray, shipped_encoder: Encoder
) -> None:
    further = onnx.ModelProto()
    further.CopyFrom(base)
    further.graph.node.append(onnx.helper.make_node("Neg", ["vectors"], ["negative"]))
    further.graph.output.append(onnx.helper.make_tensor_value_info("negative", 1, ["n", 768]))
    head = AdaptedHead(changed(read_head(base)), 0.3)
    made = with_head(further, head.head, head.weight)
    assert [o.name for o in made.graph.output] == [
        *("vectors", "saliency", "patches", "attention", "centred_saliency", "negative")
    ]
    import onnxruntime

    session = onnxruntime.InferenceSession(made.SerializeToString())
    assert session.get_outputs()[0].shape == ["n", 1536]
    look = shipped_encoder.encode(crops)
    assert look.patches is not None
    seen = tower.head_inputs(crops)
    for count in (1, 5):
        found, _, patches, _, map_, negative = session.run(None, {"crops": crops[:count]})
        assert np.allclose(found, head.ensemble_vectors(seen)[:count], atol=5e-4)
        assert np.allclose(found[:, :768], math.sqrt(0.7) * look.vectors[:count], atol=1e-6)
        assert np.array_equal(negative, -look.vectors[:count])
        assert np.allclose(map_, look.saliency[:count], rtol=1e-5)
        assert np.array_equal(patches, look.patches[:count])
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert not np.allclose(found[:, 768:] / math.sqrt(0.3), look.vectors, atol=0.01)


def test_a_head_with_a_projection_answers_alone(
    base: onnx.ModelProto, tower: TokenEncoder, crops: np.ndarray
) -> None:
    """As trained on real pairs: its vectors are the file's, of the built-in one's length."""
    import onnxruntime

    head = changed(start_of(read_head(base)))
    made = with_head(base, head, 1.0)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    assert session.get_outputs()[0].shape == ["n", 768]
    seen = tower.head_inputs(crops)
    found = session.run(["vectors"], {"crops": crops})[0]
    assert np.allclose(found, AdaptedHead(head, 1.0).ensemble_vectors(seen), atol=5e-4)
    token, attention = seen.tokens[2].astype(np.float64)
    w = {name: value.numpy().astype(np.float64) for name, value in head.state_dict().items()}
    expected = w["projection.weight"] @ by_hand(head, token, attention, scaled=False)
    expected += w["projection.bias"]
    assert np.abs(found[2] - expected / np.linalg.norm(expected)).max() < 5e-4
    assert not np.allclose(found, seen.vectors, atol=0.01)


def test_cosines_side_by_side_are_means_of_both() -> None:
    one, two = (np.array(v, np.float32) for v in ([[1, 0], [0.6, 0.8]], [[0, 1], [0.8, 0.6]]))
    both = concatenated(one, two, 0.25)
    # 0.75 × (1 × 0.6 + 0 × 0.8) + 0.25 × (0 × 0.8 + 1 × 0.6) = 0.45 + 0.15
    assert both[0] @ both[1] == pytest.approx(0.6)
    assert np.linalg.norm(both, axis=1) == pytest.approx([1, 1])
