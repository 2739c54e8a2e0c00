"""Weights of an ONNX file: the network gives what the file gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from conftest import SHARED
from satchel.errors import UsageError
from satchel.images import decode

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

import torch

from satchel.train.locator.augment import letterbox
from satchel.train.locator.weights import COCO_CLASSES, fit_statistics, load_onnx
from satchel.train.locator.yolox import SIZES, YOLOX, Size

NANO = SHARED / "weights" / "yolox_nano.onnx"


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Letterboxed street photos, shape (3, 416, 416, 3), uint8, RGB."""
    names = sorted((SHARED / "data" / "coco_bags" / "images").glob("*.jpg"))[:3]
    return np.stack([letterbox(decode(name.read_bytes()), 416)[0] for name in names])


def loaded(classes: tuple[str, ...], seeds: dict[str, tuple[str, ...]] | None = None) -> YOLOX:
    network = YOLOX(SIZES["yolox-nano"], len(classes))
    load_onnx(network, NANO, classes=classes, seeds=seeds or {})
    return network.eval()


def outputs(network: YOLOX, photos: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        found = network(torch.from_numpy(photos).permute(0, 3, 1, 2).float())
    parts = found.offsets, found.objectness.sigmoid()[..., None], found.classes.sigmoid()
    return torch.cat(parts, -1).numpy()


@pytest.mark.shared
def test_the_network_gives_what_the_file_gives(photos: np.ndarray) -> None:
    session = ort.InferenceSession(str(NANO), providers=["CPUExecutionProvider"])
    blue_first = photos[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    expected = np.concatenate([session.run(None, {"images": one[None]})[0] for one in blue_first])
    network = loaded(COCO_CLASSES)
    assert expected[..., 4].max() > 0.5  # there is something to see
    np.testing.assert_allclose(outputs(network, photos), expected, atol=1e-3)
    pixels = torch.from_numpy(photos).permute(0, 3, 1, 2).float()
    fit_statistics(network, [pixels[:2], pixels[2:]])
    np.testing.assert_allclose(outputs(network, photos), expected, atol=1e-3)
    stem = network.backbone.stem.unit.norm
    assert stem.running_mean is not None
    assert not torch.allclose(stem.running_mean, torch.zeros_like(stem.running_mean))


@pytest.mark.shared
def test_classes_that_resemble_start_the_output_rows() -> None:
    network = loaded(("bag", "hat", "umbrella"), seeds={"bag": ("handbag", "suitcase", "nothing")})
    coco = loaded(COCO_CLASSES)
    own: Any
    file: Any
    for own, file in zip(network.heads, coco.heads, strict=True):
        rows = [COCO_CLASSES.index("handbag"), COCO_CLASSES.index("suitcase")]
        torch.testing.assert_close(own.classes.weight[0], file.classes.weight[rows].mean(0))
        torch.testing.assert_close(own.classes.bias[0], file.classes.bias[rows].mean())
        row = COCO_CLASSES.index("umbrella")
        torch.testing.assert_close(own.classes.weight[2], file.classes.weight[row])
        assert own.classes.bias[1].sigmoid().item() == pytest.approx(0.01)
        torch.testing.assert_close(own.offsets.weight, file.offsets.weight)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("size", "said"),
    [
        (Size(0.375, depthwise=True), "expected weights of shape"),
        (Size(0.25), "convolutions"),
    ],
)
def test_another_network_is_refused(size: Size, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_onnx(YOLOX(size, 2), NANO, classes=("a", "b"), seeds={})


@pytest.mark.shared
def test_names_for_another_number_of_classes_are_refused() -> None:
    network = YOLOX(SIZES["yolox-nano"], 1)
    with pytest.raises(UsageError, match="has 80 classes, but 2 names"):
        load_onnx(network, NANO, classes=("a",), seeds={}, file_classes=("a", "b"))


@pytest.mark.parametrize("content", [None, b"", b"no model", b"\x00" * 50])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"weights\.onnx"):
        load_onnx(YOLOX(Size(0.125), 1), path, classes=("a",), seeds={})
