"""Losses of pairs and triplets of photos, against naive loops."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")
pytestmark = pytest.mark.train

from satchel.train.losses.mining import distance_weighted_triplets
from satchel.train.losses.pair_distance import DISTANCES
from support.naive_losses import (
    LABELS,
    PRODUCTS,
    distance,
    embeddings,
    loss_of,
    mean_of_positive,
    pairs,
    triplets,
    unit,
    value,
)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("squared", [True, False])
def test_contrastive(name: str, squared: bool) -> None:
    x = embeddings()
    loss = loss_of("contrastive", distance=name, squared=squared, margin=0.9)
    positive, negative = pairs(LABELS)
    v = x.numpy()
    positives = [distance(v[i], v[j], name) for i, j in positive]
    negatives = [max(0.0, 0.9 - distance(v[i], v[j], name)) for i, j in negative]
    if squared:
        positives, negatives = [d**2 / 2 for d in positives], [d**2 / 2 for d in negatives]
    expected = mean_of_positive(positives) + mean_of_positive(negatives)
    assert value(loss, x) == pytest.approx(expected, rel=1e-7)


def mined(mining: str, v: np.ndarray, labels: np.ndarray, margin: float, name: str) -> list:
    def d(i: int, j: int) -> float:
        return distance(v[i], v[j], name)

    every = triplets(labels)
    if mining == "semihard":
        return [(a, p, n) for a, p, n in every if 0 < d(a, n) - d(a, p) <= margin]
    if mining == "hard":
        return [
            (
                a,
                max((p for b, p, _ in every if b == a), key=partial(d, a)),
                min((n for b, _, n in every if b == a), key=partial(d, a)),
            )
            for a in sorted({a for a, _, _ in every})
        ]
    return every


@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
@pytest.mark.parametrize("name", DISTANCES)
def test_triplet(mining: str, name: str) -> None:
    x = embeddings(seed=1)
    loss = loss_of("triplet", mining=mining, distance=name, margin=0.3)
    v = x.numpy()
    expected = mean_of_positive(
        [
            max(0.0, distance(v[a], v[p], name) - distance(v[a], v[n], name) + 0.3)
            for a, p, n in mined(mining, v, LABELS, 0.3, name)
        ]
    )
    assert expected > 0
    assert value(loss, x) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("learn_beta", [True, False])
def test_margin_and_distance_weighted_triplets(learn_beta: bool) -> None:
    x = embeddings()
    v = x.numpy()
    margin = loss_of("margin", learn_beta=learn_beta, nu=0.01)
    triplet = loss_of("triplet", mining="distance_weighted", distance="euclidean", margin=0.2)
    if learn_beta:
        margin.loss.beta.data = torch.linspace(0.9, 1.3, PRODUCTS)
    beta = np.linspace(0.9, 1.3, PRODUCTS) if learn_beta else np.full(PRODUCTS, 1.2)
    rng = np.random.default_rng([3, 0])  # the loss's seed; nothing drawn before
    drawn = [
        (int(a), int(p), int(n))
        for a, p, n in zip(
            *distance_weighted_triplets(x, torch.from_numpy(LABELS), rng), strict=True
        )
    ]
    assert {(a, p) for a, p, _ in drawn} == set(pairs(LABELS)[0])
    assert set(drawn) <= set(triplets(LABELS))
    total, above_zero, violations = 0.0, 0, []
    for a, p, n in drawn:
        near, far = distance(v[a], v[p]), distance(v[a], v[n])
        positive = max(0, near - beta[LABELS[a]] + 0.2)
        negative = max(0, beta[LABELS[a]] - far + 0.2)
        total += positive + negative + (0.01 * beta[LABELS[a]] if learn_beta else 0)
        above_zero += int(positive > 0) + int(negative > 0)
        violations.append(max(0, near - far + 0.2))
    assert value(margin, x) == pytest.approx(total / above_zero, rel=1e-6)
    assert value(triplet, x) == pytest.approx(mean_of_positive(violations), rel=1e-6)


def test_supcon() -> None:
    v = embeddings().numpy()
    costs = []
    for a in range(len(v)):
        others = [i for i in range(len(v)) if i != a]
        total = sum(math.exp(unit(v[a]) @ unit(v[i]) / 0.1) for i in others)
        p = [
            math.exp(unit(v[a]) @ unit(v[i]) / 0.1) / total
            for i in others
            if LABELS[i] == LABELS[a]
        ]
        costs += [-np.mean(np.log(p))] if p else []
    assert len(costs) == len(v) - 1  # the product with one photo has no positive
    assert value(loss_of("supcon"), embeddings()) == pytest.approx(np.mean(costs), rel=1e-9)


def test_multi_similarity() -> None:
    x = embeddings()
    v, total, counted = x.numpy(), 0.0, 0
    cosine = [[float(unit(a) @ unit(b)) for b in v] for a in v]
    for a in range(len(v)):
        positive = [i for i in range(len(v)) if i != a and LABELS[i] == LABELS[a]]
        negative = [i for i in range(len(v)) if LABELS[i] != LABELS[a]]
        if not positive:
            continue
        hard_p = [p for p in positive if cosine[a][p] - 0.1 < max(cosine[a][n] for n in negative)]
        hard_n = [n for n in negative if cosine[a][n] + 0.1 > min(cosine[a][p] for p in positive)]
        total += math.log(1 + sum(math.exp(-2 * (cosine[a][p] - 0.5)) for p in hard_p)) / 2
        total += math.log(1 + sum(math.exp(50 * (cosine[a][n] - 0.5)) for n in hard_n)) / 50
        counted += len(hard_p) + len(hard_n)
    assert 0 < counted < sum(map(len, pairs(LABELS)))
    assert value(loss_of("multi_similarity"), x) == pytest.approx(total / len(v), rel=1e-7)
