"""Saliency maps whose cells tile the photo: exported, and added to a file that ships."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, draw
from satchel.encode.card import BUILTIN, LITE, read_card
from satchel.encode.encoder import Encoder
from satchel.errors import UsageError
from satchel.onnx_model import write_model

pytest.importorskip("torch", reason="needs the train extra: pip install 'satchel[train]'")
pytestmark = pytest.mark.train

import torch

from recipes.clip_b16.recipe import LOCATOR_PX, Looked
from recipes.saliency_part import add_part, saliency_part
from satchel.train.export import EARLY, Exportable, centred, centring
from satchel.train.lite0 import ARCHITECTURE, SIDE_PX
from satchel.train.pretrained import create
from shipped import shipped_model


def padded_strides(photos: torch.Tensor) -> torch.Tensor:
    """Five strides of 2 whose kernels of 3 hand their middle on, zeros beyond the border."""
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, 1, 1] = 1
    for _ in range(5):
        photos = torch.nn.functional.conv2d(photos, kernel, stride=2, padding=1)
    return photos


@pytest.mark.parametrize("side_px", [192, 224, 240])
def test_cells_show_what_lies_in_their_middle(side_px: int) -> None:
    """A ramp, read where each cell is: 0.1 of 32 pixels later, which such kernels do not look."""
    across = torch.arange(side_px, dtype=torch.float32).expand(1, 1, side_px, side_px)
    cells = -(-side_px // 32)
    expected = (np.arange(cells) + 0.5) * side_px / cells + 32 * EARLY
    for photo in (across, across.transpose(2, 3)):
        found = centred(padded_strides(photo)[:, 0], side_px)[0].numpy()
        row = found[2] if photo is across else found[:, 2]
        assert np.allclose(row[1:-1], expected[1:-1], atol=0.01)


@pytest.mark.parametrize("side_px", [192, 224])
def test_an_even_photo_has_no_higher_side(side_px: int) -> None:
    found = centring(-(-side_px // 32), side_px).sum(1).numpy()
    assert np.allclose(found[1:-1], 1)
    assert 0.3 < found[-1] < found[0] < 0.7  # nothing is known of what is nearer to the border


@pytest.mark.parametrize(
    ("name", "padded"),
    [
        ("efficientnet_lite0", True),
        ("resnet18", True),
        ("small_cnn", True),
        ("convnext_atto", False),
        ("vit_tiny_patch16_224", False),
        ("swin_tiny_patch4_window7_224", False),
    ],
)
def test_only_strides_that_are_padded_are_centred(name: str, padded: bool) -> None:
    assert create(name, weights="none").pads_strides == padded


def test_the_shipped_parts_give_what_is_exported_today(shipped_encoder: Encoder) -> None:
    network = create(ARCHITECTURE).eval()
    for shipped, side_px, model in (
        (Encoder.load(LITE), SIDE_PX, Exportable(network).eval()),
        (shipped_encoder, 176, Looked(network).eval()),
    ):
        crops = np.stack([draw(shape, 1, (side_px, side_px)) for shape in SHAPES])
        pixels = torch.from_numpy(crops)
        with torch.inference_mode():
            map_ = model(pixels)[1] if isinstance(model, Exportable) else model(pixels.float())
        found = shipped.encode(crops).saliency
        assert found.shape == map_.shape
        assert np.corrcoef(found.ravel(), map_.numpy().ravel())[0, 1] > 0.9999


@pytest.mark.parametrize(
    ("card_path", "side_px"), [(BUILTIN, LOCATOR_PX), (LITE, SIDE_PX)], ids=["clip-b16", "lite0"]
)
def test_the_part_is_made_again(tmp_path: Path, card_path: Path, side_px: int) -> None:
    card = read_card(card_path)
    *before, part = card.parts
    for name in (card.file, *before):
        shutil.copy(card_path.parent / name, tmp_path)
    files = [(tmp_path / name).read_bytes() for name in (card.file, *before)]
    recipe, _ = card.recipe.split("; ")
    changed = {
        "parts": tuple(before),
        "sha256": hashlib.sha256(b"".join(files)).hexdigest(),
        "recipe": recipe,
    }
    path = tmp_path / card_path.name
    write_model(path, card.model_copy(update=changed), *files)
    assert add_part(path, side_px) == card
    assert (tmp_path / part).read_bytes() == (card_path.parent / part).read_bytes()
    with pytest.raises(UsageError, match="centred already"):
        add_part(path, side_px)


def test_a_map_that_is_centred_takes_no_part() -> None:
    model = shipped_model()
    (made,) = (node for node in model.graph.node if "saliency" in node.output)
    made.op_type = "MatMul"
    with pytest.raises(UsageError, match="got MatMul"):
        saliency_part(model, LOCATOR_PX)
