"""Every loss against slow, obvious loops; and that no batch, however poor, breaks one."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")
pytestmark = pytest.mark.train

from satchel.train import losses
from satchel.train.losses import make_loss

PRODUCTS, DIMENSION = 5, 6
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 4])  # 4 is alone, 3 is absent
TRIPLET_MINING = [{"mining": mining} for mining in losses.MINING]
SINGLE = [
    *((name, {}) for name in losses.LOSSES if name not in ("cascaded", "triplet")),
    *(("triplet", options) for options in TRIPLET_MINING),
]
PAIRED = [
    (n, options) for n, options in SINGLE if not issubclass(losses.LOSSES[n], losses.ClassLoss)
]
IDS = [f"{name}{''.join('-' + str(v) for v in options.values())}" for name, options in SINGLE]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads wait for each other longer than these small sums take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def vectors_of(seed: int = 0, n: int = len(LABELS), dimension: int = DIMENSION) -> Any:
    """Vectors of length about 2, so that forgetting to normalise shows."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dimension)))


def loss_of(name: str, **options: Any) -> Any:
    return make_loss(name, products=PRODUCTS, dimension=DIMENSION, seed=3, **options)


def value(loss: Any, vectors: Any, labels: Any = LABELS) -> float:
    result = loss(vectors, torch.as_tensor(labels))
    assert result.shape == ()
    return result.item()


# -- the oracles: loops in numpy -----------------------------------------------------------------


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).sum())


def apart(x: np.ndarray, y: np.ndarray, distance: str) -> float:
    if distance == "unnormalised":
        return float(np.sqrt(((x - y) ** 2).sum()))
    straight = math.sqrt(((unit(x) - unit(y)) ** 2).sum())
    return {
        "euclidean": straight,
        "squared_euclidean": straight**2,
        "cosine": 1 - float(unit(x) @ unit(y)),
    }[distance]


def cross_entropy(logits: list[float], target: int, smoothing: float = 0.0) -> float:
    shares = np.exp(logits) / np.exp(logits).sum()
    wanted = [smoothing / len(logits) + (1 - smoothing) * (j == target) for j in range(len(logits))]
    return -sum(w * math.log(s) for w, s in zip(wanted, shares, strict=True))


def mean_of_costly(costs: list[float]) -> float:
    costly = [cost for cost in costs if cost > 0]
    return sum(costly) / len(costly) if costly else 0.0


def pairs(labels: np.ndarray) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    every = [(i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    return (
        [(i, j) for i, j in every if labels[i] == labels[j]],
        [(i, j) for i, j in every if labels[i] != labels[j]],
    )


def triplets(labels: np.ndarray) -> list[tuple[int, int, int]]:
    positive, negative = pairs(labels)
    return [(a, p, n) for a, p in positive for a2, n in negative if a == a2]


# -- products as classes -------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax(smoothing: float) -> None:
    loss, x = loss_of("softmax", label_smoothing=smoothing), vectors_of()
    w, b = (p.detach().double().numpy() for p in loss.parameters())
    expected = np.mean(
        [
            cross_entropy([w[j] @ v + b[j] for j in range(PRODUCTS)], y, smoothing)
            for v, y in zip(x.numpy(), LABELS, strict=True)
        ]
    )
    assert value(loss, x) == pytest.approx(expected, rel=1e-9)


def test_cosine_softmax() -> None:
    from pytorch_metric_learning.losses import NormalizedSoftmaxLoss

    loss, x = loss_of("cosine_softmax", scale=20.0), vectors_of()
    w = loss.weight.detach().double().numpy()
    expected = np.mean(
        [
            cross_entropy([20 * unit(w[j]) @ unit(v) for j in range(PRODUCTS)], y)
            for v, y in zip(x.numpy(), LABELS, strict=True)
        ]
    )
    assert value(loss, x) == pytest.approx(expected, rel=1e-9)
    theirs = NormalizedSoftmaxLoss(PRODUCTS, DIMENSION, temperature=1 / 20)
    theirs.W.data = loss.weight.data.T.double()
    assert theirs(x, torch.from_numpy(LABELS)).item() == pytest.approx(expected, rel=1e-9)


def test_center_loss_and_the_move_of_its_centres() -> None:
    loss, x = loss_of("center", weight=0.1), vectors_of()
    assert value(loss, x) == pytest.approx(
        value(loss.softmax, x) + 0.1 / 2 * np.mean([v @ v for v in x.numpy()])  # centres: zero
    )
    first = loss.centres.double().numpy().copy()
    for j in range(PRODUCTS):
        own = [v for v, y in zip(x.numpy(), LABELS, strict=True) if y == j]
        step = sum(((0 - v) for v in own), np.zeros(DIMENSION)) / (1 + len(own))
        np.testing.assert_allclose(first[j], -0.5 * step, atol=1e-6)
    loss.eval()
    spread = np.mean([((v - first[y]) ** 2).sum() for v, y in zip(x.numpy(), LABELS, strict=True)])
    assert value(loss, x) == pytest.approx(value(loss.softmax, x) + 0.1 / 2 * spread, rel=1e-6)
    assert np.array_equal(loss.centres.double().numpy(), first)  # still, in evaluation
    assert "centres" in loss.state_dict()


def test_center_loss_of_a_batch_cut_in_two_processes_moves_as_the_whole(tmp_path: Any) -> None:
    """Two processes with half of a batch each end with the centres of one that had all."""
    program = """
import sys, torch
from satchel.train.losses import make_loss
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
x, y = torch.arange(24.0).reshape(6, 4).sin(), torch.tensor([0, 1, 1, 2, 0, 1])
loss = make_loss("center", products=3, dimension=4)
loss(x[rank::2], y[rank::2])
halves = loss.centres.clone()
torch.distributed.destroy_process_group()
alone = make_loss("center", products=3, dimension=4)
alone(x, y)
assert torch.allclose(halves, alone.centres, atol=1e-6), (halves, alone.centres)
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rank), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=50)
        assert process.returncode == 0, errors


def angular(cosine: float, margin: float) -> float:
    angle = math.acos(cosine)
    if angle <= math.pi - margin:
        return math.cos(angle + margin)
    return cosine - margin * math.sin(margin)


@pytest.mark.parametrize("name", ["arcface", "subcenter_arcface"])
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_arcface(name: str, margin: float) -> None:
    """One photo lies beyond π − m from its product's weights, where the logit is another."""
    loss, x = loss_of(name, margin_rad=margin, scale=8.0), vectors_of()
    each = 1 if name == "arcface" else 3
    columns = loss.theirs.W.detach().double().numpy().T.reshape(PRODUCTS, each, DIMENSION)
    x[0] = -torch.from_numpy(columns[LABELS[0]].sum(0))
    costs, beyond = [], 0
    for v, y in zip(x.numpy(), LABELS, strict=True):
        logits = []
        for j in range(PRODUCTS):
            cosine = max(float(unit(w) @ unit(v)) for w in columns[j])
            beyond += j == y and math.acos(cosine) > math.pi - margin
            logits.append(8 * (angular(cosine, margin) if j == y else cosine))
        costs.append(cross_entropy(logits, y))
    assert value(loss, x) == pytest.approx(np.mean(costs), rel=1e-6)
    assert beyond > 0 or margin < 1.5


def test_arcface_has_a_finite_gradient_where_a_photo_lies_on_its_products_weights() -> None:
    """Or right across from them: cosines of just ±1, where the slope of arccos is infinite."""
    loss = loss_of("arcface")
    loss.theirs.W.data = torch.eye(DIMENSION)[:, :PRODUCTS].contiguous()
    x = torch.eye(DIMENSION)[LABELS]
    x[0] *= -1
    x.requires_grad_()
    loss(x, torch.from_numpy(LABELS)).backward()
    assert x.grad.isfinite().all()
    assert loss.theirs.W.grad.isfinite().all()


def test_proxy_anchor() -> None:
    loss, x = loss_of("proxy_anchor"), vectors_of()
    proxies = loss.theirs.proxies.detach().double().numpy()
    present, expected = sorted(set(LABELS)), 0.0
    for j in range(PRODUCTS):
        cosines = [
            (float(unit(proxies[j]) @ unit(v)), y) for v, y in zip(x.numpy(), LABELS, strict=True)
        ]
        pulling = sum(math.exp(-32 * (c - 0.1)) for c, y in cosines if y == j)
        pushing = sum(math.exp(32 * (c + 0.1)) for c, y in cosines if y != j)
        expected += math.log(1 + pulling) / len(present) if j in present else 0
        expected += math.log(1 + pushing) / PRODUCTS
    assert value(loss, x) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "name", ["softmax", "cosine_softmax", "center", "arcface", "subcenter_arcface", "proxy_anchor"]
)
def test_losses_with_weights_name_products_and_refuse_other_labels(name: str) -> None:
    loss = loss_of(name)
    x = torch.nn.Parameter(vectors_of().float())
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss(x, torch.from_numpy(LABELS)).backward()
        optimizer.step()
    assert loss.logits(x).argmax(1).tolist() == LABELS.tolist()
    for wrong in (PRODUCTS, -1):
        with pytest.raises(ValueError, match="from 0 to 4"):
            loss(x, torch.full((len(x),), wrong))


# -- photos against photos -----------------------------------------------------------------------


@pytest.mark.parametrize("distance", losses.DISTANCES)
@pytest.mark.parametrize("squared", [True, False])
def test_contrastive(distance: str, squared: bool) -> None:
    x = vectors_of()
    loss = loss_of("contrastive", distance=distance, squared=squared, margin=0.9)
    positive, negative = pairs(LABELS)
    v = x.numpy()
    pulled = [apart(v[i], v[j], distance) for i, j in positive]
    pushed = [max(0.0, 0.9 - apart(v[i], v[j], distance)) for i, j in negative]
    if squared:
        pulled, pushed = [d**2 / 2 for d in pulled], [d**2 / 2 for d in pushed]
    expected = mean_of_costly(pulled) + mean_of_costly(pushed)
    assert value(loss, x) == pytest.approx(expected, rel=1e-7)


def mined(mining: str, v: np.ndarray, labels: np.ndarray, margin: float, distance: str) -> list:
    def d(i: int, j: int) -> float:
        return apart(v[i], v[j], distance)

    every = triplets(labels)
    if mining == "semihard":
        return [(a, p, n) for a, p, n in every if 0 < d(a, n) - d(a, p) <= margin]
    if mining == "hard":
        return [
            (
                a,
                max((p for b, p, _ in every if b == a), key=lambda p, a=a: d(a, p)),
                min((n for b, _, n in every if b == a), key=lambda n, a=a: d(a, n)),
            )
            for a in sorted({a for a, _, _ in every})
        ]
    return every


@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
@pytest.mark.parametrize("distance", losses.DISTANCES)
def test_triplet(mining: str, distance: str) -> None:
    x = vectors_of(seed=1)
    loss = loss_of("triplet", mining=mining, distance=distance, margin=0.3)
    v = x.numpy()
    chosen = mined(mining, v, LABELS, 0.3, distance)
    expected = mean_of_costly(
        [
            max(0.0, apart(v[a], v[p], distance) - apart(v[a], v[n], distance) + 0.3)
            for a, p, n in chosen
        ]
    )
    assert expected > 0
    assert value(loss, x) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("learn_beta", [True, False])
def test_margin_and_distance_weighted_triplets(learn_beta: bool) -> None:
    x = vectors_of()
    v = x.numpy()
    margin = loss_of("margin", learn_beta=learn_beta, nu=0.01)
    triplet = loss_of("triplet", mining="distance_weighted", distance="euclidean", margin=0.2)
    if learn_beta:
        margin.theirs.beta.data = torch.linspace(0.9, 1.3, PRODUCTS)
    beta = np.linspace(0.9, 1.3, PRODUCTS) if learn_beta else np.full(PRODUCTS, 1.2)
    rng = np.random.default_rng([3, 0])  # the loss's seed; nothing drawn before
    drawn = [
        (int(a), int(p), int(n))
        for a, p, n in zip(
            *losses.distance_weighted_triplets(x, torch.from_numpy(LABELS), rng), strict=True
        )
    ]
    assert {(a, p) for a, p, _ in drawn} == set(pairs(LABELS)[0])
    assert set(drawn) <= set(triplets(LABELS))
    total, costly, violations = 0.0, 0, []
    for a, p, n in drawn:
        near, far = apart(v[a], v[p], "euclidean"), apart(v[a], v[n], "euclidean")
        pulled, pushed = max(0, near - beta[LABELS[a]] + 0.2), max(0, beta[LABELS[a]] - far + 0.2)
        total += pulled + pushed + (0.01 * beta[LABELS[a]] if learn_beta else 0)
        costly += int(pulled > 0) + int(pushed > 0)
        violations.append(max(0, near - far + 0.2))
    assert value(margin, x) == pytest.approx(total / costly, rel=1e-6)
    assert value(triplet, x) == pytest.approx(mean_of_costly(violations), rel=1e-6)


def test_supcon() -> None:
    v = vectors_of().numpy()
    costs = []
    for a in range(len(v)):
        others = [i for i in range(len(v)) if i != a]
        total = sum(math.exp(unit(v[a]) @ unit(v[i]) / 0.1) for i in others)
        shares = [
            math.exp(unit(v[a]) @ unit(v[p]) / 0.1) / total
            for p in others
            if LABELS[p] == LABELS[a]
        ]
        costs += [-np.mean(np.log(shares))] if shares else []
    assert len(costs) == len(v) - 1  # the lone photo has no say
    assert value(loss_of("supcon"), vectors_of()) == pytest.approx(np.mean(costs), rel=1e-9)


def test_multi_similarity() -> None:
    x = vectors_of()
    v, total, counted = x.numpy(), 0.0, 0
    like = [[float(unit(a) @ unit(b)) for b in v] for a in v]
    for a in range(len(v)):
        positive = [i for i in range(len(v)) if i != a and LABELS[i] == LABELS[a]]
        negative = [i for i in range(len(v)) if LABELS[i] != LABELS[a]]
        if not positive:
            continue
        hard_p = [p for p in positive if like[a][p] - 0.1 < max(like[a][n] for n in negative)]
        hard_n = [n for n in negative if like[a][n] + 0.1 > min(like[a][p] for p in positive)]
        total += math.log(1 + sum(math.exp(-2 * (like[a][p] - 0.5)) for p in hard_p)) / 2
        total += math.log(1 + sum(math.exp(50 * (like[a][n] - 0.5)) for n in hard_n)) / 50
        counted += len(hard_p) + len(hard_n)
    assert 0 < counted < sum(map(len, pairs(LABELS)))
    assert value(loss_of("multi_similarity"), x) == pytest.approx(total / len(v), rel=1e-7)


# -- distance-weighted sampling ------------------------------------------------------------------


def at_distances(distances: list[float], dimension: int) -> Any:
    """An anchor, a copy of it, and a vector of length 1 at each of these distances."""
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
    weights = losses.negative_log_weights(
        torch.tensor(distances, dtype=torch.float64), dimension
    ).numpy()
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
        anchors, positives, negatives = losses.distance_weighted_triplets(x, labels, rng)
        assert anchors.tolist() == [0, 1]
        assert positives.tolist() == [1, 0]
        np.add.at(counts, negatives.numpy(), 1)
    assert counts[:2].sum() == 0
    assert counts[9:].sum() == 0  # too far to matter
    expected = 10_000 * weights / weights.sum()
    assert expected.min() > 40
    assert chisquare(counts[2:9], expected).pvalue > 0.01


def test_where_all_negatives_are_far_any_is_drawn() -> None:
    x = at_distances([1.5, 1.6, 1.9], 8)
    rng, labels = np.random.default_rng(0), torch.tensor([0, 0, 1, 2, 3])
    drawn = [
        n for _ in range(300) for n in losses.distance_weighted_triplets(x, labels, rng)[2].tolist()
    ]
    counts = np.bincount(drawn, minlength=5)
    assert counts[:2].sum() == 0
    assert counts[2:].min() > 150  # of 600, 200 expected each, σ = 12


def test_one_pair_of_look_alikes_does_not_silence_the_other_photos() -> None:
    """Why the sampling is our own: pytorch-metric-learning's loses 62 photos of 64 here."""
    from pytorch_metric_learning.miners import DistanceWeightedMiner

    rng = np.random.default_rng(0)
    labels = np.arange(16).repeat(4)
    x = torch.from_numpy(rng.normal(size=(64, 512)) + rng.normal(size=(16, 512))[labels]).float()
    x[4] = x[0] + 0.02 * torch.from_numpy(rng.normal(size=512)).float()
    y = torch.from_numpy(labels)
    assert len(losses.distance_weighted_triplets(x, y, rng)[0].unique()) == 64
    assert len(DistanceWeightedMiner()(x, y)[0].unique()) == 2


def test_what_is_drawn_hangs_on_seed_and_state_alone() -> None:
    x, y = vectors_of(), torch.from_numpy(LABELS)
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


# -- the cascade ---------------------------------------------------------------------------------


def naive_cascade(v: list[np.ndarray], labels: np.ndarray, shares: list[float]) -> list:
    n = len(labels)
    kept = [(i, j) for i in range(n) for j in range(i + 1, n)]
    positive = [(i, j) for i, j in kept if labels[i] == labels[j]]
    negative = [(i, j) for i, j in kept if labels[i] != labels[j]]
    totals, chosen = (len(positive), len(negative)), []
    for depth, share in enumerate(shares):
        judge = v[max(depth - 1, 0)]

        def d(pair: tuple[int, int], judge: np.ndarray = judge) -> float:
            return apart(judge[pair[0]], judge[pair[1]], "euclidean")

        positive = sorted(positive, key=d, reverse=True)[: math.ceil(share * totals[0])]
        negative = sorted(negative, key=d)[: math.ceil(share * totals[1])]
        chosen.append((positive, negative))
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_the_cascade_picks_the_pairs_of_a_naive_loop(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, 12)
    v = [vectors_of(100 * seed + depth, 12) for depth in range(3)]
    between = losses.pair_distance("euclidean")
    chosen = losses.hard_cascade([between(x) for x in v], torch.from_numpy(labels), (1, 0.5, 0.2))
    expected = naive_cascade([x.numpy() for x in v], labels, [1, 0.5, 0.2])
    for ours, theirs in zip(chosen, expected, strict=True):
        for got, wanted in zip(ours, theirs, strict=True):
            assert [tuple(pair) for pair in got.tolist()] == wanted


def test_the_cascade_by_hand() -> None:
    """Depth 0 sees 0–1 (same) and 0–2, 1–2 (not): 0 and 2 are closest, so depth 1 gets 0–2."""
    apart_0 = torch.tensor([[0.0, 0.3, 0.1], [0.3, 0.0, 0.2], [0.1, 0.2, 0.0]])
    apart_1 = 1 - apart_0  # what depth 1 itself thinks does not matter
    chosen = losses.hard_cascade([apart_0, apart_1], torch.tensor([7, 7, 8]), (1, 0.5))
    assert [n.tolist() for _, n in chosen] == [[[0, 2], [1, 2]], [[0, 2]]]
    assert [p.tolist() for p, _ in chosen] == [[[0, 1]], [[0, 1]]]


@pytest.mark.parametrize("squared", [True, False])
def test_cascaded(squared: bool) -> None:
    v = [vectors_of(depth) for depth in range(3)]
    loss = loss_of("cascaded", margin=1.1, squared=squared, weights=(1.0, 0.5, 2.0))
    expected = 0.0
    chosen = naive_cascade([x.numpy() for x in v], LABELS, [1, 0.5, 0.2])
    for x, weight, (positive, negative) in zip(v, (1, 0.5, 2), chosen, strict=True):
        own = x.numpy()
        pulled = [apart(own[i], own[j], "euclidean") for i, j in positive]
        pushed = [max(0.0, 1.1 - apart(own[i], own[j], "euclidean")) for i, j in negative]
        if squared:
            pulled, pushed = [d**2 / 2 for d in pulled], [d**2 / 2 for d in pushed]
        expected += weight * (mean_of_costly(pulled) + mean_of_costly(pushed))
    assert value(loss, v) == pytest.approx(expected, rel=1e-7)


def test_a_cascade_of_one_depth_that_counts_is_the_contrastive_loss() -> None:
    x = vectors_of()
    one = loss_of("cascaded", shares=(1.0, 1.0), weights=(1.0, 0.0))
    assert value(one, [x, x]) == pytest.approx(value(loss_of("contrastive", squared=False), x))


def test_joined_vectors_weigh_the_depths_cosines() -> None:
    heads = losses.CascadedHeads([4, 3], 5, weights=(1.0, 0.5)).double()
    rng = np.random.default_rng(0)
    maps = [torch.from_numpy(rng.normal(size=(2, c, 3, 3))) for c in (4, 3)]
    vectors = heads(maps)
    for k, head in enumerate(heads.heads):
        by_hand = maps[k].numpy().mean((2, 3)) @ head.weight.detach().numpy().T
        np.testing.assert_allclose(vectors[k].detach(), by_hand + head.bias.detach().numpy())
    joined = heads.joined(vectors).detach().numpy()
    cosines = [1 - apart(*v.detach().numpy(), "cosine") for v in vectors]
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1)
    assert joined[0] @ joined[1] == pytest.approx((cosines[0] + 0.25 * cosines[1]) / 1.25)


# -- all of them ---------------------------------------------------------------------------------


def test_every_loss_is_tested_here() -> None:
    assert {name for name, _ in SINGLE} | {"cascaded"} == set(losses.LOSSES)


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=IDS)
def test_gradients(name: str, options: dict[str, Any]) -> None:
    """Slopes agree with differences, in evaluation: there nothing is drawn anew or moved."""
    loss = loss_of(name, **options).eval()
    x = vectors_of().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss(v, torch.from_numpy(LABELS)), (x,))
    loss(x, torch.from_numpy(LABELS)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())


def test_gradients_of_the_cascade() -> None:
    loss = loss_of("cascaded")
    v = tuple(vectors_of(depth).requires_grad_() for depth in range(3))
    assert torch.autograd.gradcheck(lambda *x: loss(x, torch.from_numpy(LABELS)), v)


POOR: dict[str, tuple[Callable[[], Any], list[int]]] = {
    "one product": (lambda: vectors_of(n=4), [1, 1, 1, 1]),
    "one photo each": (lambda: vectors_of(n=4), [0, 1, 2, 3]),
    "one photo": (lambda: vectors_of(n=1), [2]),
    "no photo": (lambda: vectors_of(n=0), []),
    "equal vectors": (lambda: vectors_of(n=1).repeat(6, 1), [0, 0, 1, 1, 2, 2]),
    "opposite vectors": (
        lambda: vectors_of(n=1) * torch.tensor([[1], [1], [-1], [-1]]),
        [0, 0, 1, 1],
    ),
    "perfectly apart": (lambda: torch.eye(6).double().repeat(2, 1) * 3, [0, 1, 2, 3, 4, 0] * 2),
}


@pytest.mark.parametrize("poor", POOR)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "options"), [*SINGLE, ("cascaded", {})], ids=[*IDS, "cascaded"])
def test_poor_batches_never_break_a_loss(
    name: str, options: dict[str, Any], kind: Any, poor: str
) -> None:
    loss = loss_of(name, **options)
    make, labels = POOR[poor]
    x = make().to(kind).requires_grad_()
    result = loss([x] * 3 if name == "cascaded" else x, torch.tensor(labels, dtype=torch.int64))
    result.backward()
    assert result.dtype == kind
    assert result.isfinite()
    assert x.grad.isfinite().all()
    needs_both = name in ("triplet", "margin", "supcon", "multi_similarity")
    if poor in ("no photo",) or (needs_both and poor.startswith("one ")):
        assert result.item() == 0
        assert not x.grad.any()
    if poor == "no photo":
        return
    if isinstance(loss, losses.ClassLoss) or name == "margin":
        assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())


@pytest.mark.parametrize(("name", "options"), PAIRED, ids=str)
def test_losses_of_pairs_sort_photos_by_product(name: str, options: dict[str, Any]) -> None:
    """Free vectors, moved by the loss alone: the nearest of each becomes one of its product."""
    labels = np.arange(4).repeat(4)
    x = torch.nn.Parameter(vectors_of(n=16).float())
    loss = loss_of(name, **options)
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        loss(x, torch.from_numpy(labels)).backward()
        optimizer.step()
    directions = torch.nn.functional.normalize(x.detach())
    nearest = (directions @ directions.T).fill_diagonal_(-2).argmax(1)
    assert (labels[nearest] == labels).all()


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=IDS)
def test_mixed_precision_changes_nothing_but_the_vectors(
    name: str, options: dict[str, Any]
) -> None:
    x, y = vectors_of().to(torch.bfloat16), torch.from_numpy(LABELS)
    alone = loss_of(name, **options).eval()(x.float(), y)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss_of(name, **options).eval()(x, y)
    assert mixed.dtype == torch.float32
    assert mixed.item() == alone.item()


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=IDS)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same(name: str, options: dict[str, Any]) -> None:
    here, there = loss_of(name, **options), loss_of(name, **options).cuda()
    x = vectors_of().float()
    y = torch.from_numpy(LABELS)
    on_cpu, on_gpu = x.clone().requires_grad_(), x.cuda().requires_grad_()
    for _ in range(2):  # the second time with what the first one moved and drew
        a, b = here(on_cpu, y), there(on_gpu, y)
    a.backward()
    b.backward()
    assert b.item() == pytest.approx(a.item(), rel=1e-4)
    assert torch.allclose(on_gpu.grad.cpu(), on_cpu.grad, atol=1e-4)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_weights_hang_on_the_seed_alone(name: str) -> None:
    state = torch.random.get_rng_state()
    one = loss_of(name)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(1)
    two = loss_of(name)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match=r"no option margn; it has margin, mining, distance"):
        loss_of("triplet", margn=0.1)
    with pytest.raises(ValueError, match="softmax, cosine_softmax, contrastive"):
        loss_of("tripplet")
    assert losses.known_options("margin")["beta"] == 1.2
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("triplet", {"mining": "hardest"}),
        ("triplet", {"distance": "manhattan"}),
        ("triplet", {"margin": "0.2"}),
        ("contrastive", {"squared": 1}),
        ("softmax", {"label_smoothing": 1.0}),
        ("arcface", {"margin_rad": 28.6}),
        ("subcenter_arcface", {"sub_centers": 0}),
        ("margin", {"nearest": 1.0, "farthest": 0.5}),
        ("supcon", {"temperature": 0.0}),
        ("supcon", {"temperature": math.nan}),
        ("cascaded", {"shares": (0.2, 0.5, 1.0)}),
        ("cascaded", {"shares": (1.0, 0.5)}),
        ("cascaded", {"shares": 0.5}),
    ]
    for name, options in wrong:
        with pytest.raises(ValueError, match="expected"):
            loss_of(name, **options)
    with pytest.raises(ValueError, match="products"):
        make_loss("softmax", products=1, dimension=4)


def test_inputs_are_checked() -> None:
    loss, x = loss_of("supcon"), vectors_of()
    for wrong in (torch.zeros(3, dtype=torch.int64), torch.zeros(len(x)), torch.zeros(len(x), 1)):
        with pytest.raises(ValueError, match="labels"):
            loss(x, wrong)
    with pytest.raises(ValueError, match="3 depth"):
        loss_of("cascaded")(x, torch.from_numpy(LABELS))


# -- the small network ---------------------------------------------------------------------------


def test_the_small_network_is_used_as_timms_are() -> None:
    from satchel.train.small_cnn import SmallCNN

    network = SmallCNN().eval()
    assert 0.9e6 < sum(p.numel() for p in network.parameters()) < 1.1e6
    photos = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 96, 64))).float()
    with torch.inference_mode():
        last = network.forward_features(photos)
        maps = network.forward_intermediates(photos, indices=3, intermediates_only=True)
        assert last.shape == (2, network.num_features, 3, 2)
        assert [tuple(m.shape[1:]) for m in maps] == [(128, 12, 8), (256, 6, 4), (256, 3, 2)]
        assert torch.equal(maps[-1], last)
        assert torch.equal(network.forward_intermediates(photos, [0, 4])[1][1], last)
        assert torch.allclose(network(photos), last.mean((2, 3)))


def test_the_small_network_learns_with_a_cascade() -> None:
    """Three depths, trained from scratch to tell three coloured stripes apart in noise."""
    from satchel.train.small_cnn import SmallCNN

    rng = np.random.default_rng(0)
    labels = np.arange(3).repeat(4)
    photos = rng.normal(size=(12, 3, 32, 32)).astype(np.float32)
    for photo, label in zip(photos, labels, strict=True):
        photo[label, ::2] += 1
    torch.manual_seed(0)
    network, loss = SmallCNN((8, 8, 16, 16, 16)), make_loss("cascaded", products=3, dimension=8)
    heads = losses.CascadedHeads((16, 16, 16), 8)
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
    vectors = heads.joined(heads(maps)).detach()
    nearest = (vectors @ vectors.T).fill_diagonal_(-2).argmax(1)
    assert (labels[nearest] == labels).mean() > 0.9
