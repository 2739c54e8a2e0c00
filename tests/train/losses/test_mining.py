"""Distance-weighted sampling against the paper's distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")
pytestmark = pytest.mark.train

import torch

from satchel.train.losses.mining import distance_weighted_triplets, negative_log_weights
from support.naive_losses import LABELS, embeddings, loss_of


def at_distances(distances: list[float], dimension: int) -> torch.Tensor:
    """An anchor, a copy of it, and an embedding of length 1 at each of these distances."""
    rows = [np.eye(dimension)[0]] * 2
    for d in distances:
        cosine = 1 - d**2 / 2
        rows.append(cosine * np.eye(dimension)[0] + math.sqrt(1 - cosine**2) * np.eye(dimension)[1])
    return torch.from_numpy(np.stack(rows))


@pytest.mark.parametrize("dimension", [3, 8, 128])
def test_weights_of_negatives_are_the_papers(dimension: int) -> None:
    def log_q(d: float) -> float:
        return (dimension - 2) * math.log(d) + (dimension - 3) / 2 * math.log(1 - d**2 / 4)

    distances = [0.5, 0.6, 0.9, 1.3, 1.39, 0.1, 1.4, 2.0]
    weights = negative_log_weights(torch.tensor(distances, dtype=torch.float64), dimension).numpy()
    expected = [-log_q(max(d, 0.5)) for d in distances[:6]]
    np.testing.assert_allclose(weights[:6] - weights[0], np.array(expected) - expected[0])
    assert np.isneginf(weights[6:]).all()


def test_negatives_are_drawn_by_the_papers_distribution() -> None:
    """min(λ, 1/q(d)), q(d) ∝ d^(n−2) (1 − d²/4)^((n−3)/2), n = 8; chi-square, fixed seed."""
    from scipy.stats import chisquare

    near = [0.2, 0.5, 0.6, 0.7, 0.9, 1.1, 1.3]
    far = [1.4001, 1.7]
    x = at_distances(near + far, 8)
    labels = torch.tensor([0, 0, *range(1, 10)])

    def inverse(d: float) -> float:
        return 1 / (d**6 * (1 - d**2 / 4) ** 2.5)

    weights = np.array([min(inverse(0.5), inverse(d)) for d in near])
    rng, counts = np.random.default_rng(0), np.zeros(11)
    for _ in range(5_000):
        anchors, positives, negatives = distance_weighted_triplets(x, labels, rng)
        assert anchors.tolist() == [0, 1]
        assert positives.tolist() == [1, 0]
        np.add.at(counts, negatives.numpy(), 1)
    assert counts[:2].sum() == 0
    assert counts[9:].sum() == 0  # beyond the cut-off
    expected = 10_000 * weights / weights.sum()
    assert expected.min() > 40
    assert chisquare(counts[2:9], expected).pvalue > 0.01


def test_where_all_negatives_are_far_any_is_drawn() -> None:
    x = at_distances([1.5, 1.6, 1.9], 8)
    rng, labels = np.random.default_rng(0), torch.tensor([0, 0, 1, 2, 3])
    drawn = [n for _ in range(300) for n in distance_weighted_triplets(x, labels, rng)[2].tolist()]
    counts = np.bincount(drawn, minlength=5)
    assert counts[:2].sum() == 0
    assert counts[2:].min() > 150  # of 600, 200 expected each, σ = 12


def test_one_pair_of_near_duplicates_does_not_silence_the_other_photos() -> None:
    """Why the sampling is our own: pytorch-metric-learning's loses 62 photos of 64 here."""
    from pytorch_metric_learning.miners import DistanceWeightedMiner

    rng = np.random.default_rng(0)
    labels = np.arange(16).repeat(4)
    x = torch.from_numpy(rng.normal(size=(64, 512)) + rng.normal(size=(16, 512))[labels]).float()
    x[4] = x[0] + 0.02 * torch.from_numpy(rng.normal(size=512)).float()
    y = torch.from_numpy(labels)
    assert len(distance_weighted_triplets(x, y, rng)[0].unique()) == 64
    assert len(DistanceWeightedMiner()(x, y)[0].unique()) == 2


def test_samples_depend_on_seed_and_state_alone() -> None:
    x, y = embeddings(), torch.from_numpy(LABELS)
    first, again = loss_of("margin"), loss_of("margin")
    torch.manual_seed(1)
    before = [first(x, y).item() for _ in range(4)]
    torch.manual_seed(2)
    assert [again(x, y).item() for _ in range(4)] == before
    assert len(set(before)) > 1
    resumed = loss_of("margin")
    for _ in range(2):
        resumed(x, y)
    state = resumed.state_dict()
    resumed = loss_of("margin")
    resumed.load_state_dict(state)
    assert [resumed(x, y).item() for _ in range(2)] == before[2:]
    resumed.eval()
    assert len({resumed(x, y).item() for _ in range(5)}) == 1
