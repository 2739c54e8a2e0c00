"""The shipped ONNX file against the PyTorch model that it was exported from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

from conftest import SHARED
from satchel.encode.card import LITE, read_card
from satchel.encode.encoder import Encoder
from satchel.errors import UsageError
from satchel.images import crop, decode
from satchel.onnx_model import read_model
from satchel.records import WHOLE_PHOTO

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    # torch's TorchScript exporter warns of itself; it is the one that folds batch norms
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]


@pytest.fixture
def recipe() -> ModuleType:
    from satchel.train import lite0 as builtin

    return builtin


@pytest.mark.shared
def test_onnx_agrees_with_pytorch_on_real_photos(recipe: ModuleType) -> None:
    folders = [SHARED / "data" / "dreambooth", SHARED / "data" / "coco_bags" / "images"]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.jpg"))][::2]
    crops = np.stack([crop(decode(p.read_bytes()), WHOLE_PHOTO, 224) for p in paths])
    assert len(crops) > 60
    seen = Encoder.load(LITE).encode(crops)
    from satchel.train.export import Exportable

    model = Exportable(recipe.builtin_backbone()).eval()
    with torch.inference_mode():
        expected, expected_saliency = model(torch.from_numpy(crops))
    cosines = (seen.vectors * expected.numpy()).sum(1)
    assert cosines.min() >= 0.9999
    assert np.corrcoef(seen.saliency.ravel(), expected_saliency.numpy().ravel())[0, 1] > 0.9999


def test_the_packaged_weights_are_a_trained_network() -> None:
    """With ε and preprocessing right, ImageNet's classifier is sure of a plain teapot photo."""
    path = SHARED / "data" / "dreambooth" / "teapot" / "00.jpg"
    if not path.exists():
        pytest.skip(f"needs the shared data, expected at {path}")
    crops = crop(decode(path.read_bytes()), WHOLE_PHOTO, 224)[None]
    from satchel.train.pretrained import LITE_MEAN, LITE_STD, _load_packaged, create

    create("small_cnn", weights="none")  # declares what torchvision lacks, before timm is imported
    import timm

    network = timm.create_model("efficientnet_lite0").eval()  # with its classifier
    _load_packaged(network, "efficientnet_lite0")
    scaled = (torch.from_numpy(crops).permute(0, 3, 1, 2) / 255 - LITE_MEAN) / LITE_STD
    with torch.inference_mode():
        shares = network(scaled).softmax(-1)[0]
    assert shares.argmax() == 849  # "teapot" among ImageNet-1k's classes
    assert shares.max() > 0.5


def test_tensors_read_from_the_shipped_file_make_it_again(recipe: ModuleType) -> None:
    data = recipe.export(recipe.builtin_backbone())
    made = Encoder(read_card(LITE), data, threads=1)
    shipped = Encoder.load(LITE)
    crops = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), np.uint8)
    assert np.abs(made.encode(crops).vectors - shipped.encode(crops).vectors).max() < 1e-5
    if hashlib.sha256(data).hexdigest() != shipped.id:
        pytest.skip("same vectors; the file's bytes depend on the exporter's version")


def test_the_first_of_the_pair_is_imagenets(recipe: ModuleType) -> None:
    from satchel.train.pretrained import create

    theirs = {
        name: value
        for name, value in create("efficientnet_lite0").network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    kept = recipe.network_tensors(read_model(read_card(LITE), LITE.parent))
    for name, value in theirs.items():
        assert torch.allclose(kept.pop(f"network.{name}"), value, rtol=1e-3, atol=1e-6), name
    adapted = {name.removeprefix("second.network.") for name in kept}
    assert "conv_stem.weight" in adapted
    assert adapted <= theirs.keys()


def test_a_file_of_other_networks_is_refused(recipe: ModuleType, tmp_path: Path) -> None:
    model = onnx.load_from_string(read_model(read_card(LITE), LITE.parent))
    renamed = next(w for w in model.graph.initializer if w.name.startswith("backbone.network"))
    renamed.name = "backbone.other"
    data = model.SerializeToString()
    (tmp_path / "lite0.onnx").write_bytes(data)
    card = read_card(LITE).model_copy(
        update={"sha256": hashlib.sha256(data).hexdigest(), "parts": ()}
    )
    (tmp_path / "lite0.json").write_text(card.model_dump_json())
    with pytest.raises(UsageError, match="are missing"):
        recipe.builtin_backbone(tmp_path / "lite0.json")


def test_the_card_says_what_the_recipe_says() -> None:
    from recipes.lite0.recipe import CONFIDENCE

    assert read_card(LITE).confidence == CONFIDENCE
