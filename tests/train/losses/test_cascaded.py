"""The cascaded loss: its choice of pairs, its heads, a small network trained with it."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")
pytestmark = pytest.mark.train

from satchel.train.losses import make_loss
from satchel.train.losses.cascaded import CascadedHeads, hard_cascade
from satchel.train.losses.pair_distance import pair_distance
from support.naive_losses import LABELS, distance, embeddings, loss_of, mean_of_positive, value


def naive_cascade(v: list[np.ndarray], labels: np.ndarray, fractions: list[float]) -> list:
    n = len(labels)
    kept = [(i, j) for i in range(n) for j in range(i + 1, n)]
    positive = [(i, j) for i, j in kept if labels[i] == labels[j]]
    negative = [(i, j) for i, j in kept if labels[i] != labels[j]]
    totals, chosen = (len(positive), len(negative)), []
    for depth, fraction in enumerate(fractions):
        before = v[max(depth - 1, 0)]

        def d(pair: tuple[int, int], before: np.ndarray = before) -> float:
            return distance(before[pair[0]], before[pair[1]])

        positive = sorted(positive, key=d, reverse=True)[: math.ceil(fraction * totals[0])]
        negative = sorted(negative, key=d)[: math.ceil(fraction * totals[1])]
        chosen.append((positive, negative))
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_the_cascade_picks_the_pairs_of_a_naive_loop(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, 12)
    v = [embeddings(100 * seed + depth, 12) for depth in range(3)]
    between = pair_distance("euclidean")
    chosen = hard_cascade([between(x) for x in v], torch.from_numpy(labels), (1, 0.5, 0.2))
    expected = naive_cascade([x.numpy() for x in v], labels, [1, 0.5, 0.2])
    for ours, theirs in zip(chosen, expected, strict=True):
        for got, wanted in zip(ours, theirs, strict=True):
            assert [tuple(pair) for pair in got.tolist()] == wanted


def test_the_cascade_by_hand() -> None:
    """Depth 0 gets 0–1 (same) and 0–2, 1–2 (not): 0 and 2 are closest, so depth 1 gets 0–2."""
    depth_0 = torch.tensor([[0.0, 0.3, 0.1], [0.3, 0.0, 0.2], [0.1, 0.2, 0.0]])
    depth_1 = 1 - depth_0  # its own distances do not matter
    chosen = hard_cascade([depth_0, depth_1], torch.tensor([7, 7, 8]), (1, 0.5))
    assert [n.tolist() for _, n in chosen] == [[[0, 2], [1, 2]], [[0, 2]]]
    assert [p.tolist() for p, _ in chosen] == [[[0, 1]], [[0, 1]]]


@pytest.mark.parametrize("squared", [True, False])
def test_cascaded(squared: bool) -> None:
    v = [embeddings(depth) for depth in range(3)]
    loss = loss_of("cascaded", margin=1.1, squared=squared, weights=(1.0, 0.5, 2.0))
    expected = 0.0
    chosen = naive_cascade([x.numpy() for x in v], LABELS, [1, 0.5, 0.2])
    for x, weight, (positive, negative) in zip(v, (1, 0.5, 2), chosen, strict=True):
        own = x.numpy()
        positives = [distance(own[i], own[j]) for i, j in positive]
        negatives = [max(0.0, 1.1 - distance(own[i], own[j])) for i, j in negative]
        if squared:
            positives, negatives = [d**2 / 2 for d in positives], [d**2 / 2 for d in negatives]
        expected += weight * (mean_of_positive(positives) + mean_of_positive(negatives))
    assert value(loss, v) == pytest.approx(expected, rel=1e-7)


def test_a_cascade_of_one_weighted_depth_is_the_contrastive_loss() -> None:
    x = embeddings()
    one = loss_of("cascaded", fractions=(1.0, 1.0), weights=(1.0, 0.0))
    assert value(one, [x, x]) == pytest.approx(value(loss_of("contrastive", squared=False), x))


def test_the_cascade_has_gradients_and_checks_its_depths() -> None:
    loss, x = loss_of("cascaded"), embeddings()
    v = tuple(embeddings(depth).requires_grad_() for depth in range(3))
    assert torch.autograd.gradcheck(lambda *x: loss(x, torch.from_numpy(LABELS)), v)
    with pytest.raises(ValueError, match="3 depth"):
        loss(x, torch.from_numpy(LABELS))


def test_cosine_of_joined_embeddings_is_the_weighted_mean_of_the_depths() -> None:
    heads = CascadedHeads([4, 3], 5, weights=(1.0, 0.5)).double()
    rng = np.random.default_rng(0)
    maps = [torch.from_numpy(rng.normal(size=(2, c, 3, 3))) for c in (4, 3)]
    by_depth = heads(maps)
    for k, head in enumerate(heads.heads):
        weight, bias = (parameter.detach().numpy() for parameter in head.parameters())
        by_hand = maps[k].numpy().mean((2, 3)) @ weight.T
        np.testing.assert_allclose(by_depth[k].detach(), by_hand + bias)
    joined = heads.joined(by_depth).detach().numpy()
    pairs = [e.detach().numpy() for e in by_depth]
    cosines = [1 - distance(first, second, "cosine") for first, second in pairs]
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1)
    assert joined[0] @ joined[1] == pytest.approx((cosines[0] + 0.25 * cosines[1]) / 1.25)


def test_a_small_network_learns_with_a_cascade() -> None:
    """Three depths, trained from scratch to tell three coloured stripes apart in noise."""
    from satchel.train.small_cnn import SmallCNN

    rng = np.random.default_rng(0)
    labels = np.arange(3).repeat(4)
    photos = rng.normal(size=(12, 3, 32, 32)).astype(np.float32)
    for photo, label in zip(photos, labels, strict=True):
        photo[label, ::2] += 1
    torch.manual_seed(0)
    network, loss = SmallCNN((8, 8, 16, 16, 16)), make_loss("cascaded", products=3, dimension=8)
    heads = CascadedHeads((16, 16, 16), 8)
    optimizer = torch.optim.Adam([*network.parameters(), *heads.parameters()], lr=0.01)
    costs = []
    for _ in range(30):
        optimizer.zero_grad()
        maps = network.forward_intermediates(torch.from_numpy(photos), 3, True)
        cost = loss(heads(maps), torch.from_numpy(labels))
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    assert costs[-1] < costs[0] / 3
    joined = heads.joined(heads(maps)).detach()
    nearest = (joined @ joined.T).fill_diagonal_(-2).argmax(1)
    assert (labels[nearest] == labels).mean() > 0.9
