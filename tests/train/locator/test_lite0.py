"""The network of `lite0`: folded batch norms, cells, and which parts are trained."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.train.locator.architectures import ARCHITECTURES
from satchel.train.locator.lite0 import STRIDES, Lite0Detector, fold_batch_norms
from satchel.train.pretrained import create
from satchel.train.settings import LocatorSettings


def test_folded_batch_norms_change_no_output() -> None:
    torch.manual_seed(0)
    network: Any = create("efficientnet_lite0", weights="none").network.eval()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, std=0.1)
    folded = deepcopy(network)
    fold_batch_norms(folded)
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in folded.modules())
    photo = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        ours, theirs = folded.forward_features(photo), network.forward_features(photo)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_every_cell_says_a_box_around_itself() -> None:
    torch.manual_seed(0)
    network = Lite0Detector(3).eval()
    height, width = 64, 96
    with torch.inference_mode():
        found = network(torch.rand(2, 3, height, width) * 255)
    cells = [
        (stride * (x + 0.5), stride * (y + 0.5))
        for stride in STRIDES
        for y in range(height // stride)
        for x in range(width // stride)
    ]
    assert found.centres.tolist() == [list(cell) for cell in cells]
    boxes = found.boxes()
    assert boxes.shape == (2, len(cells), 4)
    assert (boxes[..., :2] < found.centres).all()
    assert (boxes[..., 2:] > found.centres).all()
    assert found.scores().shape == (2, len(cells), 3)
    assert found.scores().max() < 0.1  # new networks detect nothing
    torch.testing.assert_close(found.main().sum(1), torch.ones(2))


def test_the_stem_of_given_weights_is_not_trained() -> None:
    lite0 = ARCHITECTURES["lite0"]
    for weights, count in (("none", 4), ("auto", 3)):
        settings = LocatorSettings(architecture="lite0", weights=weights)
        network: Any = lite0.begun(("bag", "shoe"), settings)
        parts = lite0.parts(network)
        assert len(parts) == count
        trained = {id(one) for part in parts for one in part.parameters()}
        assert trained == {id(one) for one in network.parameters() if one.requires_grad}
