"""The shipped ONNX file against the PyTorch model that it was exported from."""

from __future__ import annotations

import hashlib
from types import ModuleType

import numpy as np
import pytest

from conftest import SHARED
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.encoder import Encoder
from satchel.images import crop, decode
from satchel.records import WHOLE_PHOTO

torch = pytest.importorskip("torch", reason="needs the train extra: pip install 'satchel[train]'")
pytestmark = [
    pytest.mark.train,
    # torch's TorchScript exporter warns of itself; it is the one that folds batch norms
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]


@pytest.fixture
def recipe() -> ModuleType:
    from satchel.train import builtin

    return builtin


@pytest.mark.shared
def test_onnx_agrees_with_pytorch_on_real_photos(recipe: ModuleType, encoder: Encoder) -> None:
    folders = [SHARED / "data" / "dreambooth", SHARED / "data" / "coco_bags" / "images"]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.jpg"))][::2]
    crops = np.stack([crop(decode(p.read_bytes()), WHOLE_PHOTO, 224) for p in paths])
    assert len(crops) > 60
    vectors, saliency = encoder.encode(crops)
    model = recipe.load_lite0()
    with torch.inference_mode():
        expected, expected_saliency = model(torch.from_numpy(crops))
    cosines = (vectors * expected.numpy()).sum(1)
    assert cosines.min() >= 0.9999
    assert np.corrcoef(saliency.ravel(), expected_saliency.numpy().ravel())[0, 1] > 0.9999


def test_the_packaged_weights_are_a_trained_network(recipe: ModuleType) -> None:
    """With ε and preprocessing right, ImageNet's classifier is sure of a plain teapot photo."""
    path = SHARED / "data" / "dreambooth" / "teapot" / "00.jpg"
    if not path.exists():
        pytest.skip(f"needs the shared data, expected at {path}")
    crops = crop(decode(path.read_bytes()), WHOLE_PHOTO, 224)[None]
    scaled = (torch.from_numpy(crops).permute(0, 3, 1, 2) / 255 - recipe.MEAN) / recipe.STD
    with torch.inference_mode():
        shares = recipe.load_lite0().backbone(scaled).softmax(-1)[0]
    assert shares.argmax() == 849  # "teapot" among ImageNet-1k's classes
    assert shares.max() > 0.5


def test_the_recipe_makes_the_shipped_file_again(recipe: ModuleType) -> None:
    data = recipe.export(recipe.load_lite0())
    made = Encoder(read_card(), data, threads=1)
    shipped = Encoder.load()
    crops = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), np.uint8)
    assert np.abs(made.encode(crops)[0] - shipped.encode(crops)[0]).max() < 1e-5
    assert read_card(BUILTIN).confidence == recipe.CONFIDENCE
    if hashlib.sha256(data).hexdigest() != shipped.id:
        pytest.skip("same vectors; the file's bytes depend on the exporter's version")
