"""Backbones: networks of any make give one vector a photo, at the sides that training uses."""

from __future__ import annotations

import numpy as np
import pytest

from satchel.errors import UsageError

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

import torch

from satchel.train.classifier import Head
from satchel.train.fitting import Trainable
from satchel.train.pretrained import create
from satchel.train.schedule import parameter_groups
from satchel.train.settings import ClassifierSettings

MAKES = ("mobilenetv3_small_050", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224")


def crops(side_px: int) -> torch.Tensor:
    pixels = np.random.default_rng(side_px).integers(0, 256, (2, side_px, side_px, 3), np.uint8)
    return torch.from_numpy(pixels)


@pytest.mark.parametrize("name", MAKES)
def test_a_vector_is_the_mean_of_the_last_maps_at_any_side(name: str) -> None:
    torch.manual_seed(0)
    backbone = create(name, weights="none", side_px=96, first_side_px=64).eval()
    for side_px in (64, 96):
        with torch.inference_mode():
            photos = crops(side_px)
            # timm's own way to the last map of any network, channels first.
            _, maps = backbone.network.forward_intermediates(
                backbone.scaled(photos), indices=1, norm=True, output_fmt="NCHW"
            )
            expected = maps[-1].mean((2, 3))
            assert torch.allclose(backbone(photos), expected, atol=1e-5)
            assert backbone.maps(photos).shape == maps[-1].shape
        assert expected.shape == (2, backbone.dimension)


@pytest.mark.parametrize("name", [*MAKES, "small_cnn"])
def test_blocks_nearer_to_the_end_learn_faster(name: str, caplog: pytest.LogCaptureFixture) -> None:
    settings = ClassifierSettings(backbone=name, weights="none", layer_decay=0.5, side_px=64)
    backbone = create(name, weights="none", side_px=64)
    model = Trainable(backbone, Head(backbone.dimension, 3, settings))
    rate = {
        id(parameter): group["peak"]
        for group in parameter_groups(model, settings)
        for parameter in group["params"]
    }
    rates = [rate[id(p)] for p in backbone.network.parameters()]
    assert rates[0] == min(rates) < 0.1 * settings.learning_rate
    assert rates[-1] == max(rates) == pytest.approx(settings.learning_rate)
    assert not caplog.messages  # timm warns of a network whose layers it cannot tell apart


def test_a_transformer_for_one_size_says_so() -> None:
    with pytest.raises(UsageError, match="does not take photos of 64 pixels"):
        create("mixer_s32_224", weights="none", side_px=96, first_side_px=64)
    with pytest.raises(UsageError, match="does not take photos of 100 pixels"):
        create("vit_tiny_patch16_224", weights="none", side_px=100)
