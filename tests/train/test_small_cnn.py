"""The small network has timm's interface."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.train.small_cnn import SmallCNN


def test_the_small_network_is_used_as_timms_are() -> None:
    network = SmallCNN().eval()
    assert 0.9e6 < sum(p.numel() for p in network.parameters()) < 1.1e6
    photos = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 96, 64))).float()
    with torch.inference_mode():
        last = network.forward_features(photos)
        maps = network.forward_intermediates(photos, indices=3, intermediates_only=True)
        assert last.shape == (2, network.num_features, 3, 2)
        assert isinstance(maps, list)
        assert [tuple(m.shape[1:]) for m in maps] == [(128, 12, 8), (256, 6, 4), (256, 3, 2)]
        assert torch.equal(maps[-1], last)
        assert torch.equal(network.forward_intermediates(photos, [0, 4])[1][1], last)
        assert torch.allclose(network(photos), last.mean((2, 3)))
