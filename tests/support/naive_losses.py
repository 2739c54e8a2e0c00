"""Slow, obvious loops over a batch of embeddings: oracles for the tests of losses. Needs torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from satchel.train.losses import LOSSES, make_loss
from satchel.train.losses.triplet import MINING

PRODUCTS, DIMENSION = 5, 6
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 4])  # 4 has one photo, 3 has none

SINGLE: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in LOSSES if name not in ("cascaded", "triplet")),
    *(("triplet", {"mining": mining}) for mining in MINING),
]
"""Losses of one embedding per photo, the triplet loss with every mining: name and options."""
SINGLE_IDS = [
    f"{name}{''.join('-' + str(v) for v in options.values())}" for name, options in SINGLE
]


def embeddings(seed: int = 0, n: int = len(LABELS), dimension: int = DIMENSION) -> torch.Tensor:
    """Random float64 embeddings of length about 2, so that a missing normalisation shows."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dimension)))


def loss_of(name: str, **options: Any) -> Any:
    """A loss for `LABELS` and `embeddings`, with seed 3."""
    return make_loss(name, products=PRODUCTS, dimension=DIMENSION, seed=3, **options)


def value(loss: Any, x: Any, labels: Any = LABELS) -> float:
    """The loss of a batch as a number."""
    result = loss(x, torch.as_tensor(labels))
    assert result.shape == ()
    return float(result.detach())


def unit(x: np.ndarray) -> np.ndarray:
    """x at length 1."""
    return x / np.sqrt((x**2).sum())


def distance(x: np.ndarray, y: np.ndarray, name: str = "euclidean") -> float:
    """The distance of two embeddings, one of `pair_distance.DISTANCES`."""
    if name == "unnormalised":
        return float(np.sqrt(((x - y) ** 2).sum()))
    euclidean = math.sqrt(((unit(x) - unit(y)) ** 2).sum())
    return {
        "euclidean": euclidean,
        "squared_euclidean": euclidean**2,
        "cosine": 1 - float(unit(x) @ unit(y)),
    }[name]


def cross_entropy(logits: list[float], target: int, smoothing: float = 0.0) -> float:
    """−Σ target × log softmax(logits), with label smoothing."""
    p = np.exp(logits) / np.exp(logits).sum()
    q = [smoothing / len(logits) + (1 - smoothing) * (j == target) for j in range(len(logits))]
    return -sum(a * math.log(b) for a, b in zip(q, p, strict=True))


def mean_of_positive(costs: list[float]) -> float:
    """Mean over the costs above zero."""
    positive = [cost for cost in costs if cost > 0]
    return sum(positive) / len(positive) if positive else 0.0


def pairs(labels: np.ndarray) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Ordered pairs of rows: positive and negative ones."""
    every = [(i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    return (
        [(i, j) for i, j in every if labels[i] == labels[j]],
        [(i, j) for i, j in every if labels[i] != labels[j]],
    )


def triplets(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """All anchors, positives and negatives."""
    positive, negative = pairs(labels)
    return [(a, p, n) for a, p in positive for a2, n in negative if a == a2]
